"""Selectors: which containers are meant."""

from __future__ import annotations

import pytest

from agent.engine.containers import ContainerFacts
from agent.selectors import SELECTORS, Selector, selected

WEB = ContainerFacts(
    id="a" * 64,
    name="web-1",
    image="nginx:1.27",
    labels={
        "com.docker.compose.project": "shop",
        "com.docker.swarm.service.name": "front",
        "k": "v=w",
        "e": "",
    },
)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("web-*", True),
        ("web", False),
        ("name=web-?", True),
        ("image=nginx*", True),
        ("image=nginx", False),
        ("label=k", True),
        ("label=e", True),
        ("label=missing", False),
        ("label=k=v=*", True),
        ("label=k=w", False),
        ("project=shop", True),
        ("project=other", False),
        ("service=front", True),
        ("id=aaaaaaaaaaaa*", True),
        ("id=aaa", False),
        ("project=shop&label=k=v*", True),
        ("project=shop & service=back", False),
        ("web-*&label=missing", False),
    ],
)
def test_a_selector_matches_by_glob(text: str, matches: bool) -> None:  # noqa: FBT001
    """The whole name, not a part of it."""
    assert Selector.parse(text).matches(WEB) is matches


@pytest.mark.parametrize("text", ["nam=web", "=web", "name=", "label=", "", "&name=web"])
def test_what_is_no_selector_is_told(text: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match="a selector such as"):
        Selector.parse(text)


def test_a_glob_with_an_ampersand_is_not_taken_for_two() -> None:
    """It would mean another container without a word."""
    with pytest.raises(ValueError, match=r"in a glob, \? stands for &"):
        Selector.parse("label=team=R&D")
    assert Selector.parse("label=k=v?w").matches(WEB)


def test_exclude_wins_and_nothing_included_means_all() -> None:
    """As the settings promise."""
    (web,), (other,) = SELECTORS.parse("web-*"), SELECTORS.parse("db")
    assert selected(WEB, ())
    assert selected(WEB, (other, web))
    assert not selected(WEB, (other,))
    assert not selected(WEB, (web,), (web,))


def test_a_list_is_shown_as_it_is_typed() -> None:
    """Parsed again it is the same."""
    value = SELECTORS.parse(" web-* , label=k=a*,,label=x, db& id=ab*")
    assert SELECTORS.show(value) == "name=web-*,label=k=a*,label=x=*,name=db&id=ab*"
    assert SELECTORS.parse(SELECTORS.show(value)) == value
