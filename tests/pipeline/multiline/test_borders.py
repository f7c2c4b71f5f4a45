"""Records by patterns of one's own."""

from __future__ import annotations

import pytest

from tests.pipeline.multiline.feeding import batch, joined, joiner, messages


def records(rule: str, text: str) -> list[str]:
    """The records, a `|` for each newline in them; of lines that come at once, and one by one."""
    lines = text.encode().split(b"/")
    whole = joined(rule, lines)
    assert joined(rule, lines, range(1, len(lines))) == whole
    return [record.decode().replace("\n", "|") for record in whole]


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("start=^B", "B1/x/ y/B2/B3/z", ["B1|x| y", "B2", "B3|z"]),
        ("start=^B", "x/y/B1/z", ["x|y", "B1|z"]),
        (r"start=^B;continue=^\s", "x/ y/B1/ a/ b/z/ c/B2", ["x", " y", "B1| a| b", "z", " c", "B2"]),
        (
            "start=^B;end=E$",
            "x/B1/a/b E/y/B2 E/z/B3/B4/E/E",
            ["x", "B1|a|b E", "y", "B2 E", "z", "B3", "B4|E", "E"],
        ),
        (r"start=^B;continue=^\s;end=E$", "B1/ a/E/ b/B2/c/E", ["B1| a|E", " b", "B2", "c", "E"]),
        (r"continue=^\s", " x/ y/a/ b/c/d/ e/ f", [" x| y", "a| b", "c", "d| e| f"]),
        (r"end=\x3b$", "select/1;/a;/b/c", ["select|1;", "a;", "b|c"]),
        ("end=[^\\\\]$", "a \\/b \\/c/d/e \\", ["a \\|b \\|c", "d", "e \\"]),
        ("indent", "a:/  - b/\tc/d//e/ ", ["a:|  - b|\tc", "d", "", "e| "]),
        ("start=^B;max_lines=2", "B1/a/b/c/d/B2", ["B1|a", "b|c", "d", "B2"]),
        ("start=.", "a/b", ["a", "b"]),
        ("end=$", "a/b/", ["a", "b", ""]),
    ],
)
def test_patterns(rule: str, text: str, expected: list[str]) -> None:
    """Each combination that makes sense."""
    assert records(rule, text) == expected


@pytest.mark.parametrize(
    "pattern", [r"^\s+x", r"(?s)^.*q", r"^[^a]*$", r"\A\d", r"\d\z", r"(?-m:^)\d", r"^$", r"x*"]
)
def test_a_pattern_looks_at_a_line_alone(pattern: str) -> None:
    """Even one that could match a newline, or that means the ends of a text."""
    records(f"start={pattern}", "/  x/1/q/  x//a 2/ 3/x/3 b/")


def test_colours_do_not_hide_the_start_of_a_line() -> None:
    """And stay in the message, as the CR does."""
    lines = [b"\x1b[1;32m2026-11-23\x1b[0m a\r", b"b\r", b"\x1b[32m2026-11-24 c\x1b[K\r", b"\x1b[0md"]
    assert joined("start=^2026;timeout=2s", lines) == [b"\n".join(lines[:2]), b"\n".join(lines[2:])]
    assert joined("end=[ac]$", lines) == [lines[0], b"\n".join(lines[1:3]), lines[3]]


def test_the_end_of_a_record_lets_it_go() -> None:
    """And only the record whose end did not come is held."""
    joins = joiner("start=^B;end=E$")
    whole = batch([b"x", b"y E"])
    assert joins.feed(whole, 0.0) == [whole]
    assert messages(joins.feed(batch([b"B", b"a", b"E"]), 0.0)) == [b"B\na\nE"]
    assert joins.due() is None
    assert messages(joins.feed(batch([b"x", b"B", b"a"]), 0.0)) == [b"x"]
    assert joins.due() == 1.0


def test_what_no_pattern_speaks_of_is_not_held() -> None:
    """With `start` and `continue`, a line that begins nothing goes on as it is."""
    joins = joiner(r"start=^B;continue=^\s")
    whole = batch([b"x", b" y", b"z"])
    assert joins.feed(whole, 0.0) == [whole]
    assert joins.due() is None
