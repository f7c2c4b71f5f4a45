"""What is held, for how long, and what comes out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container
from agent.pipeline.multiline.joiner import Joiner
from agent.pipeline.multiline.rule import Rule
from agent.pipeline.step import Holding
from tests.pipeline.multiline.feeding import ERR, OUT, TRACES, WEB, batch, joined, joiner, messages, trace

JAVA = trace("java-caused")
PLAIN = [b"one", b"two", b"three"]
RULES = (
    *("java", "python", "go", "dotnet", "ruby", "node", "php", "auto", "indent"),
    *(
        "start=^t",
        "start=^t;continue=^[ ]",
        "start=^t;end=d$",
        r"start=^t;continue=^\s;end=d$",
        r"continue=^\s",
        "end=d$",
    ),
    "auto;max_lines=2",
    "start=^x;max_lines=3",
)
LINES = st.one_of(
    st.sampled_from([line for name in TRACES for line in trace(name)[:40]]),
    st.sampled_from(
        [b"", b"two", b" three", b"ERROR end", b"\xff\xfe", b"\x1b[31m\tat red\x1b[0m", b"\r", b"{}"]
    ),
)
SOME_LINES = st.lists(LINES, max_size=25)


def test_lines_without_a_trace_pass_as_the_same_object() -> None:
    """Nothing is copied, and nothing is waited for."""
    joins: Holding = joiner("auto")
    whole = batch(PLAIN)
    assert joins.feed(whole, 1.0) == [whole]
    assert joins.due() is None
    assert not joiner("auto").to_bytes()


def test_a_batch_without_lines_changes_nothing() -> None:
    """Nor does it prolong a wait."""
    joins, empty = joiner("java"), batch([])
    assert joins.feed(empty, 1.0) == [empty]
    joins.feed(batch(JAVA), 1.0)
    assert joins.feed(empty, 1.5) == [empty]
    assert joins.due() == 2.0


def test_a_joined_record_is_its_first_line_with_more_text() -> None:
    """Time, place, text of the time and id are those of the first line."""
    lines = Batch(
        WEB,
        ERR,
        timestamps=[7, 7, 7, 8],
        messages=[b"plain", JAVA[0], JAVA[1], b"plain"],
        ordinals=[3, 4, 5, 0],
        times=[b"1970-01-01T00:00:00.000000007Z"] * 3 + [b"1970-01-01T00:00:00.000000008Z"],
    )
    [records] = joiner("java").feed(lines, 0.0)
    assert records.stream is ERR
    assert records.messages == [b"plain", b"\n".join(JAVA[:2]), b"plain"]
    assert (records.timestamps, records.ordinals) == ([7, 7, 8], [3, 4, 0])
    assert records.times == [b"1970-01-01T00:00:00.000000007Z"] * 2 + [b"1970-01-01T00:00:00.000000008Z"]
    assert records.ids() == [lines.ids()[row] for row in (0, 1, 3)]
    assert not records.truncated


def test_what_was_held_leaves_with_the_lines_behind_it() -> None:
    """As one batch, in order."""
    joins = joiner("java")
    assert messages(joins.feed(batch([b"one", *JAVA[:3]]), 0.0)) == [b"one"]
    [done] = joins.feed(batch([*JAVA[3:], b"two", *JAVA], 4), 0.0)
    assert done.messages == [b"\n".join(JAVA), b"two"]
    assert done.timestamps == [1, 4 + len(JAVA) - 3]
    assert done.ids() == batch([b""] * 99).pick(done.timestamps).ids()
    assert messages(joins.finish()) == [b"\n".join(JAVA)]
    assert joins.due() is None


def test_the_streams_do_not_mix() -> None:
    """A trace on stderr goes on, whatever stands between its lines on stdout."""
    joins = joiner("java")
    records: list[Batch] = []
    for at, line in enumerate(JAVA):
        records += joins.feed(batch([line], 2 * at, ERR), 0.0)
        records += joins.feed(batch([b"out %d" % at], 2 * at + 1, OUT), 0.0)
    records += joins.finish()
    assert messages(one for one in records if one.stream is OUT) == [
        b"out %d" % at for at in range(len(JAVA))
    ]
    assert messages(one for one in records if one.stream is ERR) == [b"\n".join(JAVA)]


def test_the_timeout_counts_from_the_last_line() -> None:
    """A trace that is being written is not flushed; one whose last line is old enough is."""
    joins = joiner("java;timeout=2s")
    joins.feed(batch(JAVA[:2]), 10.0)
    assert joins.due() == 12.0
    joins.feed(batch(JAVA[2:4], 2), 11.5)
    assert joins.due() == 13.5
    assert joins.flush(13.4) == []
    assert messages(joins.flush(13.5)) == [b"\n".join(JAVA[:4])]
    assert joins.due() is None


def test_lines_of_the_other_stream_do_not_prolong_it() -> None:
    """Each stream has its own last line."""
    joins = joiner("java")
    joins.feed(batch(JAVA[:2], 0, ERR), 10.0)
    joins.feed(batch(JAVA[:2], 0, OUT), 10.5)
    joins.feed(batch(PLAIN, 9, OUT), 10.9)
    assert joins.due() == 11.0
    assert [one.stream for one in joins.flush(11.0)] == [ERR]


def test_what_comes_after_the_timeout_is_one_further_record() -> None:
    """Not a record a line."""
    joins = joiner("java")
    joins.feed(batch(JAVA[:2]), 0.0)
    joins.flush(1.0)
    assert joins.feed(batch(JAVA[2:], 2), 9.0) == []
    [done] = joins.feed(batch([b"plain"], 20), 9.0)
    assert done.messages == [b"\n".join(JAVA[2:]), b"plain"]
    assert not done.truncated


def test_ordinary_lines_after_the_timeout_pass_as_they_are() -> None:
    """What was awaited did not come."""
    joins = joiner("java")
    joins.feed(batch(JAVA[:2]), 0.0)
    joins.flush(1.0)
    plain = batch(PLAIN, 9)
    assert joins.feed(plain, 9.0) == [plain]


@pytest.mark.parametrize(
    "name", ["php-plain", "python-logging-error", "node-plain", "go-run", "java-logging", "go-race"]
)
def test_what_is_known_to_be_whole_goes_at_once(name: str) -> None:
    """Its last line says so."""
    joins = joiner(name.partition("-")[0])
    assert messages(joins.feed(batch(trace(name)), 0.0)) == [b"\n".join(trace(name))]
    assert joins.due() is None


@pytest.mark.parametrize("rule", ["java;max_lines=4", "java;max_bytes=1KiB"])
def test_what_is_too_long_goes_on_as_further_records(rule: str) -> None:
    """All but the last are marked truncated; no line is lost or cut."""
    lines = [
        JAVA[0],
        *(b"\tat com.acme.Orders.order(Orders.java:%03d) " % number + b"x" * 250 for number in range(10)),
    ]
    expected = [lines[start : start + 4] for start in (0, 4, 8)] if "lines" in rule else None
    for borders in ((), range(1, len(lines))):
        joins, done = joiner(rule), []
        for start, stop in zip((0, *borders), (*borders, len(lines)), strict=True):
            done += joins.feed(batch(lines[start:stop], start), 0.0)
        done += joins.finish()
        records = messages(done)
        assert b"\n".join(records).split(b"\n") == lines
        assert [b"\n".join(part) for part in expected or []] in ([], records)
        assert all(len(record) <= 1024 for record in records) or expected
        cut = [row in one.truncated for one in done for row in range(len(one))]
        assert cut == [True] * (len(records) - 1) + [False]
        ids = [name for one in done for name in one.ids()]
        assert len(set(ids)) == len(records) > 2


def test_a_line_of_more_than_max_bytes_is_a_record_of_its_own() -> None:
    """How long a line may be is not decided here."""
    lines = [
        b"java.lang.IllegalStateException: " + b"x" * 5000,
        b"\tat a.B.c(B.java:1)",
        b"\tat a.B.c(B.java:2)",
    ]
    assert joined("java;max_bytes=2KiB", lines) == [lines[0], b"\n".join(lines[1:])]


def test_a_record_with_a_cut_line_is_marked() -> None:
    """One line is enough, and only that record."""
    lines = dataclasses.replace(batch([b"a", *JAVA, b"b", *JAVA]), truncated=frozenset((0, 3)))
    joins = joiner("java")
    [done] = joins.feed(lines, 0.0)
    assert done.truncated == {0, 1}
    assert [one.truncated for one in joins.finish()] == [frozenset()]


def test_a_renamed_container_keeps_the_trace_of_its_old_name() -> None:
    """A batch has the metadata of one moment."""
    renamed = Container(id=WEB.id, name="new", image="web", tag="new", host="node")
    joins = joiner("java")
    joins.feed(batch(JAVA), 0.0)
    done = joins.feed(dataclasses.replace(batch(PLAIN, 50), container=renamed), 0.0)
    assert [one.container.name for one in done] == ["web", "new"]


def test_a_restart_does_not_flush_what_was_held() -> None:
    """The timeout begins anew with the first look at it, for the rest of the trace is still to be read."""
    before = joiner("java")
    before.feed(batch(JAVA[:3]), 1000.0)
    after = Joiner.from_bytes(Rule.parse("java"), before.to_bytes(), WEB)
    assert after.due() == 0.0
    assert after.flush(5.0) == []
    assert after.due() == 6.0
    after.feed(batch(JAVA[3:], 3), 5.5)
    [done] = after.flush(6.5)
    assert done.messages == [b"\n".join(JAVA)]
    assert done.ids() == batch(JAVA).ids()[:1]


def test_both_streams_places_and_marks_outlive_a_restart() -> None:
    """All that makes the record."""
    before = joiner("java")
    held = Batch(WEB, ERR, [9, 9], JAVA[:2], ordinals=[4, 5], truncated=frozenset((1,)))
    before.feed(held, 0.0)
    before.feed(batch(JAVA[:2], 3), 0.0)
    after = Joiner.from_bytes(Rule.parse("java"), before.to_bytes(), WEB)
    out, err = after.finish()
    assert (out.stream, out.ids(), out.truncated) == (OUT, batch(JAVA, 3).ids()[:1], frozenset())
    assert (err.stream, err.ids(), err.truncated) == (ERR, held.ids()[:1], frozenset((0,)))


@pytest.mark.parametrize("rule", ["python", "start=^x", "off"])
def test_what_another_rule_held_is_not_gone_on_with(rule: str) -> None:
    """It goes with the next line, or when the container has ended."""
    before = joiner("java")
    before.feed(batch(JAVA[:3]), 0.0)
    after = Joiner.from_bytes(Rule.parse(rule), before.to_bytes(), WEB)
    first, *_ = messages(after.feed(batch([b"\tat somewhere", b"ERROR"], 9), 0.0))
    assert first == b"\n".join(JAVA[:3])
    assert (after.due() is None) == (rule == "off")
    assert messages(Joiner.from_bytes(Rule.parse(rule), before.to_bytes(), WEB).finish()) == [first]


def test_damaged_bytes_are_refused() -> None:
    """Each cut and each flipped bit; nothing at all is nothing held."""
    before = joiner("java")
    before.feed(batch(JAVA[:3]), 0.0)
    data = before.to_bytes()
    for cut in range(1, len(data)):
        with pytest.raises(ValueError, match="damaged"):
            Joiner.from_bytes(Rule.parse("java"), data[:cut], WEB)
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        with pytest.raises(ValueError, match="damaged"):
            Joiner.from_bytes(Rule.parse("java"), flipped, WEB)
    assert Joiner.from_bytes(Rule.parse("java"), b"", WEB).finish() == []


@given(st.sampled_from(RULES), SOME_LINES)
def test_no_line_is_lost_doubled_or_moved(rule: str, lines: Sequence[bytes]) -> None:
    """What comes out, split at newlines, is what went in."""
    assert b"\n".join(joined(rule, lines)).split(b"\n") == (list(lines) or [b""])


@given(st.sampled_from(RULES), SOME_LINES, st.sets(st.integers(1, 24)))
def test_records_do_not_depend_on_where_batches_end(
    rule: str, lines: Sequence[bytes], borders: set[int]
) -> None:
    """Nor on restarts there."""
    at = sorted(border for border in borders if border < len(lines))
    whole = joined(rule, lines)
    assert joined(rule, lines, at) == whole
    assert joined(rule, lines, at, restart=True) == whole


@given(
    st.sampled_from(RULES),
    st.lists(st.tuples(st.sampled_from((OUT, ERR)), SOME_LINES, st.booleans()), max_size=6),
)
def test_streams_keep_their_order_whatever_is_flushed(
    rule: str, parts: Sequence[tuple[object, Sequence[bytes], bool]]
) -> None:
    """Each stream's lines, in order, and rising ids, with timeouts between."""
    joins, done, now, at = joiner(rule), [], 0.0, 0
    for stream, lines, waits in parts:
        done += joins.feed(batch(lines, at, OUT if stream is OUT else ERR), now)
        at += len(lines)
        if waits and (due := joins.due()) is not None:
            now = due
            done += joins.flush(now)
    done += joins.finish()
    for stream in (OUT, ERR):
        came = [line for of, lines, _ in parts if of is stream for line in lines]
        records = [one for one in done if one.stream is stream and len(one)]
        assert b"\n".join(messages(records)).split(b"\n") == (came or [b""])
        stamps = [stamp for one in records for stamp in one.timestamps]
        assert stamps == sorted(set(stamps))
