"""Which records drop, keep and min_level withhold, and what is said of conditions that are none."""

from __future__ import annotations

import pytest

from agent.batch import Batch, Stream
from agent.level import Level
from agent.pipeline.conditions import CONDITIONS, Conditions, at_least, dropping, keeping
from tests.pipeline.steps import Tallied, batch

MESSAGES = (b"GET /healthz 200", b"GET /orders 500", b"panic", b"", b"line one\nGET /healthz", b"\xff\x00")
LEVELS = bytes([Level.DEBUG, Level.ERROR, Level.CRITICAL, 0, Level.INFO, 0])
FIELDS = [
    b'{"path":"/healthz","status":200,"user":{"id":7,"name":"bob"}}',
    b'{"status":500,"user.id":"x","ok":false,"tags":["a","b"]}',
    b'{"st\\u0061tus":404,"user":null}',
    None,
    b"no JSON",
    b'{"http":{"status.code":201}}',
]


def all_of(stream: Stream = Stream.STDOUT) -> Batch:
    return batch(*MESSAGES, levels=LEVELS, fields=FIELDS, stream=stream)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("healthz", {0, 4}),
        ("^GET /healthz", {0, 4}),
        (r"\AGET /healthz", {0}),
        ("healthz$", {4}),
        ("(?i)PANIC", {2}),
        (r"GET\s+.*\s[45]\d\d$;panic", {1, 2}),
        (r"a\x3bb", set()),
        ("level<info", {0}),
        ("level <= info", {0, 4}),
        ("level=error", {1}),
        ("level != error", {0, 2, 4}),
        ("level>=err", {1, 2}),
        ("level>error", {2}),
        (r"level\=error", set()),
        ("field.status", {0, 1, 2}),
        ("field.status=^[45]", {1, 2}),
        ("field.user", {0, 2}),
        ("field.user=null", {2}),
        ("field.user.id", {0, 1}),
        ("field.user.id=^7$", {0}),
        ("field.user.name = bob", {0}),
        ("field.user.none", set()),
        ("field.ok=false", {1}),
        ('field.tags="b"', {1}),
        ("field.http.status.code=201", {5}),
        ("stream=stdout", {0, 1, 2, 3, 4, 5}),
        ("stream=stderr", set()),
        ("stream=stderr;panic;level=debug", {0, 2}),
    ],
)
def test_conditions_hold_for_these(text: str, rows: set[int]) -> None:
    """drop withholds just these, keep all others; what is left is in its order, with all its columns."""
    conditions = CONDITIONS.parse(text)
    assert conditions.rows(all_of()) == rows
    for make, out in ((dropping, rows), (keeping, {*range(6)} - rows)):
        tally = Tallied()
        given = all_of()
        left = make(conditions, tally)(given)
        kept = [row for row in range(6) if row not in out]
        assert (left is given) == (not out)
        assert left.messages == [MESSAGES[row] for row in kept]
        assert left.timestamps == [1000 + row for row in kept]
        assert list(left.levels or b"") == [LEVELS[row] for row in kept]
        assert tally.counts == ({"drop" if make is dropping else "keep": len(out)} if out else {})


def test_what_has_neither_levels_nor_fields_meets_none_of_their_conditions() -> None:
    conditions = Conditions.parse("level<emergency;level!=info;field.x;field.y=z")
    assert conditions.rows(batch(b"a", b"b")) == set()
    assert conditions.rows(batch()) == set()


def test_nothing_may_be_left() -> None:
    tally = Tallied()
    left = dropping(Conditions.parse("stream=stdout"), tally)(all_of())
    assert (len(left), tally.counts) == (0, {"drop": 6})
    assert len(keeping(Conditions.parse("stream=stderr"), tally)(all_of())) == 0


@pytest.mark.parametrize("text", ["off", "", " ; "])
def test_off_is_no_condition(text: str) -> None:
    assert not CONDITIONS.parse(text)


@pytest.mark.parametrize("text", ["GET /healthz;level<warning", "field.a.b=c=d", "stream=stderr"])
def test_conditions_read_as_they_were_written(text: str) -> None:
    assert CONDITIONS.show(CONDITIONS.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("level<warnig", "level= with one of trace, debug"),
        ("stream=stdin", "stream= with one of stdout, stderr"),
        ("field.", "a field such as field.trace_id"),
        ("field.=x", "a field such as field.trace_id"),
        ("field.x=(", "a pattern in RE2's syntax"),
        ("ok;(", "a pattern in RE2's syntax"),
        (";".join("abcdefghijklmnopqrstuvwxyz0123456789"), "at most 32 conditions"),
        ("x" * 1_000_000, "at most 65536 characters"),
    ],
)
def test_what_is_no_condition_is_told_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Conditions.parse(text)


@pytest.mark.parametrize(
    ("least", "left"),
    [(Level.TRACE, 6), (Level.DEBUG, 6), (Level.INFO, 5), (Level.ERROR, 4), (Level.ALERT, 2)],
)
def test_min_level_withholds_lower_ones(least: Level, left: int) -> None:
    """Those whose level is not known pass."""
    tally = Tallied()
    out = at_least(least, tally)(given := all_of())
    assert len(out) == left
    assert all(level == 0 or level >= least for level in out.levels or b"")
    assert (out is given) == (left == 6)
    assert tally.counts == ({"min_level": 6 - left} if left < 6 else {})


def test_min_level_passes_what_has_no_levels() -> None:
    plain = batch(b"a")
    assert at_least(Level.EMERGENCY, Tallied())(plain) is plain


def test_deep_and_hostile_fields_are_no_fields() -> None:
    """They meet no condition, and raise nothing."""
    hostile = [
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"a":"\xff"}',
        b"[1]",
        b'"a"',
        b'{"a":"\\ud800"}',
        b"",
    ]
    given = batch(*[b"x"] * len(hostile), fields=hostile)
    assert Conditions.parse("field.a=zz;field.a.a.zz").rows(given) == set()
