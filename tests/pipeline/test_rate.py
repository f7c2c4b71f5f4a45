"""So many records pass, the others are told of: each withheld record in one summary, and none too often."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.batch import Batch, Stream
from agent.level import Level
from agent.pipeline.rate import QUIET_S, RATE, Limiter, Rate
from tests.pipeline.steps import Tallied, batch

SUMMARY = re.compile(rb"([\d,]+) records? withheld since (\S+Z) \(rate ([^)]+)\)")


def limiter(text: str, tally: Tallied | None = None) -> Limiter:
    return RATE.parse(text).step(tally or Tallied())


def told(batches: Sequence[Batch]) -> int:
    """The records that summaries tell of."""
    found = (SUMMARY.fullmatch(message) for each in batches for message in each.messages)
    return sum(int(match[1].replace(b",", b"")) for match in found if match)


def lines(count: int, *, first_ns: int = 1_000, stream: Stream = Stream.STDOUT) -> Batch:
    return batch(*[b"x"] * count, first_ns=first_ns, stream=stream)


def test_within_the_rate_the_batch_itself_passes() -> None:
    step = limiter("10/s")
    for second in range(100):
        given = lines(10)
        assert step.feed(given, float(second))[0] is given
    assert step.due() is None
    assert list(step.finish()) == []


def test_more_is_withheld_counted_and_told() -> None:
    """The summary is of level warning, and has time, stream and id of the last record that was withheld."""
    tally = Tallied()
    step = limiter("10/s;burst=20", tally)
    flood = lines(1500, first_ns=1_795_414_426_000_000_000, stream=Stream.STDERR)
    (passed,) = step.feed(flood, 5.0)
    assert passed.messages == flood.messages[:20]
    assert tally.counts == {"rate": 1480}
    assert step.due() == 5.0 + QUIET_S
    assert list(step.flush(5.9)) == []
    (summary,) = step.flush(6.0)
    assert summary.messages == [b"1,480 records withheld since 2026-11-23T06:13:46.000000020Z (rate 10/s)"]
    assert summary.ids() == flood.ids()[-1:]
    assert (summary.stream, summary.levels) == (Stream.STDERR, bytes([Level.WARNING]))
    assert (summary.fields, summary.truncated) == (None, frozenset())
    assert step.due() is None


def test_a_summary_has_the_id_of_a_record_with_a_time_of_its_own() -> None:
    """Ids are made of the Engine's times and ordinals, whatever the record says."""
    flood = Batch(
        lines(0).container,
        Stream.STDOUT,
        [5, 6],
        [b"a", b"b"],
        ordinals=[0, 3],
        read_at=[70, 70],
        fields=[b"{}", b"{}"],
    )
    step = limiter("1/s")
    step.feed(flood, 0.0)
    assert next(iter(step.finish())).ids() == flood.ids()[-1:]


def test_both_streams_share_one_rate() -> None:
    step = limiter("10/s")
    assert len(step.feed(lines(10), 0.0)[0]) == 10
    assert list(step.feed(lines(10, stream=Stream.STDERR), 0.0)) == []


def test_a_long_flood_is_told_of_every_so_often() -> None:
    """At most one summary in ten seconds, and one at its end; every record is told of once."""
    tally = Tallied()
    step = limiter("8/s", tally)
    times, out = list[float](), list[Batch]()
    for eighth in range(480):
        now = eighth / 8
        got = step.feed(lines(50), now)
        times += [now] * bool(told(got))
        out += got
    due = step.due()
    assert due is not None
    out += step.flush(due)
    assert step.due() is None
    assert all(later - earlier >= 10 for earlier, later in pairwise(times))
    assert len(times) == 5
    assert told(out) == tally.counts["rate"]
    assert sum(map(len, out)) - 6 == 480 * 50 - tally.counts["rate"] == 8 + 479


def test_floods_that_come_and_go_are_told_of_no_more_often() -> None:
    """Forty short ones in two minutes, each over before the next."""
    step = limiter("1/s;every=10s")
    summaries = 0
    for turn in range(40):
        out = [*step.feed(lines(2), 3.0 * turn), *step.feed(lines(1), 3.0 * turn + 2)]
        summaries += sum(told([each]) > 0 for each in out)
    assert 8 <= summaries <= 12


def test_what_is_told_comes_before_what_follows() -> None:
    """A summary stands where the records were."""
    step = limiter("1/s;every=2s")
    step.feed(lines(3), 0.0)
    summary, after = step.feed(lines(1), 10.0)
    assert told([summary]) == 2
    assert len(after) == 1


def test_at_the_end_all_is_told() -> None:
    step = limiter("1/h")
    step.feed(lines(1), 0.0)
    step.feed(lines(1), 0.0)
    assert next(iter(step.finish())).messages[0].startswith(b"1 record withheld since")
    assert list(step.finish()) == []


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 20), st.booleans()), max_size=30), st.integers(1, 40)
)
def test_every_record_passes_or_is_told_of(course: list[tuple[int, float, bool]], burst: int) -> None:
    """And in no window more pass than the rate and the burst allow."""
    tally = Tallied()
    step = limiter(f"5/s;burst={burst}", tally)
    now, fed, passed, out = 100.0, 0, 0, list[Batch]()
    for count, pause, flushed in course:
        now += pause
        got = list(step.feed(lines(count), now))
        summaries = [each for each in got if told([each])]
        passed += sum(map(len, got)) - len(summaries)
        fed += count
        out += got
        due = step.due()
        if flushed and due is not None:
            now = max(now, due)
            out += step.flush(now)
    out += step.finish()
    assert passed + tally.counts["rate"] == fed
    assert told(out) == tally.counts["rate"]
    assert passed <= burst + 5 * (now - 100.0) + 1


def test_a_clock_that_steps_back_gives_nothing() -> None:
    step = limiter("10/s")
    step.feed(lines(10), 100.0)
    assert list(step.feed(lines(1), 1.0)) == []


@pytest.mark.parametrize("text", ["off", "", " ; "])
def test_off_limits_nothing(text: str) -> None:
    assert not RATE.parse(text)


@pytest.mark.parametrize(
    ("text", "records", "seconds", "burst", "every"),
    [
        ("100/s", 100, 1, 100, 10.0),
        ("6000 / m", 6000, 60, 6000, 10.0),
        ("1/h;burst=5;every=1m", 1, 3600, 5, 60.0),
    ],
)
def test_a_rate_is_understood(text: str, records: int, seconds: int, burst: int, every: float) -> None:
    assert RATE.parse(text) == Rate(text, records, seconds, burst, every)
    assert RATE.show(RATE.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("100", "a rate such as 100/s"),
        ("0/s", "a rate such as 100/s"),
        ("-1/s", "a rate such as 100/s"),
        ("100/d", "a rate such as 100/s"),
        ("100/s;200/s", "a rate such as 100/s"),
        ("burst=5", "a rate such as 100/s"),
        ("100/s;burst=0", "burst= with a whole number from 1"),
        ("100/s;every=x", "every= with a duration"),
    ],
)
def test_what_is_no_rate_is_told_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Rate.parse(text)
