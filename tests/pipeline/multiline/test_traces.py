"""The automaton and its patterns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.multiline.presets import PRESETS
from agent.pipeline.multiline.traces import END, HEAD
from agent.pipeline.patterns import pattern
from tests.pipeline.multiline.feeding import TRACES, joined, trace

STARTS = sorted({start.pattern for language in PRESETS.values() for start in language.starts})
MOVES = sorted({move.pattern for language in PRESETS.values() for move in language.moves})
WORDS = [
    "a.",
    "a.Exception",
    "Exception",
    "Error",
    "A",
    "Aa",
    ": A",
    "[",
    "]",
    "(",
    "'",
    '"',
    ":1",
    "/:1",
    "1",
    " ",
    "\t",
]
WORDS += [
    "^",
    "~",
    "^ ",
    "#0 ",
    "at ",
    "...",
    "in `",
    ":1:in `",
    "=",
    "<---",
    "[1]",
    "a: ",
    "Traceback ",
    "\\",
    "a\\A",
]


@pytest.mark.parametrize("name", PRESETS)
def test_every_state_is_reached_and_left(name: str) -> None:
    """A name written wrongly would never match."""
    language = PRESETS[name]
    behind = {state for start in language.starts for state in start.state.split()}
    behind |= {state for move in language.moves for state in move.after.split()}
    before = {state for move in language.moves for state in move.before.split()}
    assert before <= behind | {HEAD}
    assert behind <= before | {END, HEAD}
    assert all(state.startswith(f"{name}.") for state in (before | behind) - {END, HEAD})
    assert all(move.pattern.startswith("^") for move in language.moves)


def test_all_states_at_once_fit_into_what_is_saved() -> None:
    """Sixteen bytes."""
    names = {move.after for language in PRESETS.values() for move in language.moves}
    names |= {start.state for language in PRESETS.values() for start in language.starts}
    assert len({state for name in names for state in name.split()} | {END, HEAD}) < 120


@pytest.mark.parametrize("text", STARTS)
def test_both_engines_understand_a_start_alike(text: str) -> None:
    """RE2 finds the lines, `re` tells them apart."""
    ours, theirs = re.compile(text.encode()), pattern(text, flags="m")
    lines = {line for name in TRACES for line in trace(name)}
    assert {line for line in lines if ours.search(line)} == {line for line in lines if theirs.search(line)}


@given(
    st.sampled_from(STARTS),
    st.lists(st.sampled_from([*WORDS, "Traceback (most recent call last):", "panic: ", "é", "_", "$"])).map(
        "".join
    ),
)
def test_both_engines_understand_any_line_alike(text: str, line: str) -> None:
    """Whatever it is put together from."""
    ours, theirs = re.compile(text.encode()), pattern(text, flags="m")
    assert bool(ours.search(line.encode())) == bool(theirs.search(line.encode()))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", [*STARTS, *MOVES])
def test_no_pattern_takes_more_than_linear_time(text: str) -> None:
    """A tenth of a second is usual. Quadratic, a line of a quarter of a MiB would take more than the test has."""
    found = re.compile(text.encode()).match if text.startswith("^") else re.compile(text.encode()).search
    before = (b"", b"a.", b"goroutine 1 ", b"a.rb:1:in `", b"\tfrom ", b"/")
    for word in WORDS:
        for start in before:
            found(start + (word.encode() * (1 << 18))[: 1 << 18] + b"!")


def test_a_hostile_container_s_longest_lines_go_through() -> None:
    """A MiB each, behind a line that begins a trace."""
    lines = [line for word in WORDS for line in (b"ERROR", (word.encode() * (1 << 20))[: 1 << 20])]
    assert b"\n".join(joined("auto;max_bytes=1MiB", lines)).split(b"\n") == lines
