"""What a client of the tail asks to see."""

from __future__ import annotations

import pytest

from agent.batch import Container
from agent.http.wanted import Wanted
from agent.level import Level
from tests.http.fakes import container

LINES = [b"GET /cart 200", b"POST /Cart 500", b"warm tea", b"\xff\xfe"]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"q": "cart"}, [0, 1]),
        ({"q": "Cart"}, [1]),
        ({"q": "no such"}, []),
        ({"q": "200\nPOST"}, []),
        ({"level": "warn"}, [1, 3]),
        ({"level": "error", "q": "cart"}, [1]),
        ({"level": "", "q": "", "select": ""}, [0, 1, 2, 3]),
    ],
)
def test_lines_are_chosen_by_text_and_level(query: dict[str, str], rows: list[int]) -> None:
    """A text without a capital in any case; what has no known level is no warning."""
    levels = bytes([Level.INFO, Level.ERROR, 0, Level.WARNING])
    assert list(Wanted.parse(query).rows(LINES, levels)) == rows


def test_without_levels_none_is_grave() -> None:
    """Rather than all: who asks for errors is not shown what may be none."""
    assert list(Wanted.parse({"level": "error"}).rows(LINES, None)) == []


@pytest.mark.parametrize(
    ("select", "wanted"),
    [
        ("name=we*", True),
        ("web", True),
        ("project=shop", True),
        ("service=api", False),
        ("name=api,project=shop", True),
        ("label=tier=front", True),
        ("label=tier=back", False),
        (f"id={container().id}", True),
    ],
)
def test_containers_are_chosen_by_selectors(select: str, wanted: bool) -> None:  # noqa: FBT001
    """As sinks choose theirs; of labels, those that are sent along."""
    base = container()
    known = Container(
        id=base.id,
        name="web",
        image="i",
        tag="web",
        host="h",
        labels={"tier": "front"},
        project="shop",
        service="web",
    )
    assert Wanted.parse({"select": select}).container(known) is wanted


def test_a_renamed_container_is_looked_at_again() -> None:
    """Its description is a new one; it is still the same container."""
    wanted = Wanted.parse({"select": "web"})
    before = container("web")
    after = Container(id=before.id, name="other", image="i", tag="t", host="h")
    assert [wanted.container(each) for each in (before, before, after)] == [True, True, False]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"level": "loud"}, "level is not one of trace, debug"),
        ({"select": "colour=red"}, "select is not a selector such as"),
        ({"filter": "x"}, "'filter' is not known; there are select, level and q"),
        ({"q": "x" * 5000}, "q: more than 4096 bytes"),
    ],
)
def test_a_mistake_is_named(query: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Wanted.parse(query)
