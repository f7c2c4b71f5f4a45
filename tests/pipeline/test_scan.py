"""A column is searched at once, and the answer is that of searching its rows one by one."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.pipeline import scan
from agent.pipeline.patterns import Match, Pattern
from agent.pipeline.scan import Column, Wanted

PATTERNS = [
    "a",
    "^a",
    "a$",
    r"\Aa",
    r"a\z",
    "a.*b",
    "(?s)a.*b",
    r"a\s+b",
    r"\ba\b",
    "(?:a|b|c)*b",
    "[^x]*",
    "x?",
    "a|$",
    "(?-m:^a)",
    "(?-m:a$)",
    r"\n",
    "b\x00",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(derandomize=True)
@given(texts=st.lists(st.text("ab \n\x00", max_size=3), max_size=8))
@example(texts=["a", "b"])
@example(texts=["b a", "", "a b"])
@example(texts=["a\nb", "b\na"])
def test_the_rows_are_those_that_match_one_by_one(pattern: str, texts: list[str]) -> None:
    """Whatever stands beside a row, whatever newlines are in it."""
    rows = [text.encode() for text in texts]
    wanted = Wanted.parse(pattern)
    alone = [row for row, text in enumerate(rows) if wanted.pattern.search(text)]
    assert wanted.rows(Column(rows)) == alone


@pytest.mark.parametrize("effort", [0, 1, 8, 40])
def test_a_bounded_effort_leaves_the_answer_as_it_is(effort: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it each row is searched by itself."""
    monkeypatch.setattr(scan, "EFFORT_BYTES", effort)
    texts = [b"a", b"b", b"a", b"", b"ba", b"b"]
    assert Wanted.parse("(?s)a.*z|a").rows(Column(texts)) == [0, 2, 4]


def test_a_pattern_that_always_looks_to_the_end_costs_no_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each match looks through all the column, no more of it is looked through than the bound says."""
    monkeypatch.setattr(scan, "EFFORT_BYTES", 100_000)
    passed = 0

    class Counting:
        def search(self, text: bytes, pos: int = 0, /) -> Match | None:
            nonlocal passed
            passed += len(text) - pos
            return wanted.pattern.search(text, pos)

    wanted = Wanted.parse("(?s)a.*z|a")
    counting = Wanted(wanted.text, cast("Pattern", Counting()), by_row=False)
    assert counting.rows(Column([b"a" * 49] * 1000)) == list(range(1000))
    assert passed <= 100_000 + 3 * 50_000


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(?:(?:a*)*)*b", ".*.*.*.*=.*"])
def test_an_evil_pattern_is_linear(pattern: str) -> None:
    """What takes a backtracking engine for ever."""
    wanted = Wanted.parse(pattern)
    assert wanted.rows(Column([b"a" * 100_000 + b"!", b"a" * 100_000])) in ([], [0], [1], [0, 1])


@pytest.mark.parametrize("pattern", ["(a", "a{1001}", "(?=a)", r"\1", "x" * 5_000, "((a{100}){100}){100}"])
def test_what_re2_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Wanted.parse(pattern)


def test_no_rows_at_all() -> None:
    assert Wanted.parse("a").rows(Column([])) == []
