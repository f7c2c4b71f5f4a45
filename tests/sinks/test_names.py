"""A container's name or label becomes one word of a topic or subject, and no more."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agent.sinks.names import Names
from agent.tag import Tag
from tests.receivers.sent import container

UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def names(text: str, most: int = 40) -> Names:
    return Names(Tag.parse(text), UNFIT, most)


@given(st.text())
def test_whatever_it_is_called_it_fits(name: str) -> None:
    made = names("logs.{{.Name}}").of(container(name)).decode()
    assert re.fullmatch(r"logs\.[A-Za-z0-9._-]{1,40}", made)


@given(st.text(min_size=41), st.text(min_size=41))
def test_long_ones_are_kept_apart(one: str, other: str) -> None:
    made = names("{{.Name}}")
    assert (made.of(container(one)) == made.of(container(other))) == (one == other)


def test_two_templates_do_not_get_each_others_names() -> None:
    web = container()
    assert names("a.{{.Name}}").of(web) == b"a.web"
    assert names("b.{{.Name}}").of(web) == b"b.web"
    assert names("a.{{.Name}}", most=2).of(web) != b"a.web"


def test_what_is_not_set_is_a_word_all_the_same() -> None:
    assert names('logs.{{index .Labels "none"}}').of(container()) == b"logs._"


def test_a_word_for_all() -> None:
    assert names('logs.{{.Name}}.{{index .Labels "x"}}').with_word("*") == "logs.*.*"
