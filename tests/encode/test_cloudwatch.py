"""Events are what a JSON parser reads in them, and no call breaks a rule of PutLogEvents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Stream
from agent.encode.cloudwatch import events
from agent.level import Level
from tests.receivers.cloudwatch import DAY_MS, OVERHEAD_BYTES, PUT_BYTES, PUT_EVENTS
from tests.receivers.received import read_line
from tests.receivers.sent import START_NS, batch, container, expected

DAY_NS = DAY_MS * 1_000_000
HOUR_NS = 3600 * 10**9
Call: TypeAlias = list[tuple[int, Any]]


def calls(batches: Sequence[Batch], format: str = "text", event_bytes: int = PUT_BYTES) -> list[Call]:
    """Row and event of each call, whose limits are checked."""
    parts, row = [], 0
    for each in batches:
        parts.append((row, each))
        row += len(each)
    made = []
    for put in events(parts, format, event_bytes).puts():
        read = json.loads(put.events.decode("utf-8", errors="strict"))
        stamps = [event["timestamp"] for event in read]
        sizes = [len(event["message"].encode()) + OVERHEAD_BYTES for event in read]
        assert 0 < len(read) <= PUT_EVENTS
        assert sum(sizes) <= PUT_BYTES
        assert max(sizes) <= event_bytes
        assert stamps == sorted(stamps)
        assert stamps[-1] - stamps[0] <= DAY_MS
        made.append(list(zip(put.rows, read, strict=True)))
    return made


@given(st.lists(st.tuples(st.integers(0, 4 * 10**18), st.binary(max_size=200)), min_size=1, max_size=8))
def test_each_line_is_an_event_in_order_of_time(rows: list[tuple[int, bytes]]) -> None:
    sent = Batch(container(), Stream.STDOUT, [stamp for stamp, _ in rows], [line for _, line in rows])
    got = [pair for call in calls([sent]) for pair in call]
    order = sorted(range(len(rows)), key=lambda row: rows[row][0] // 1_000_000)
    assert [row for row, _ in got] == order
    assert [(event["timestamp"], event["message"]) for _, event in got] == [
        (rows[row][0] // 1_000_000, rows[row][1].decode("utf-8", errors="replace") or " ") for row in order
    ]


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8))
def test_as_json_each_event_is_the_record(lines: list[bytes]) -> None:
    sent = batch(lines)
    [call] = calls([sent], "json")
    assert [read_line(event["message"].encode()) for _, event in call] == expected([sent])


def test_what_is_not_utf8_is_counted_in_either_format() -> None:
    for wanted in ("text", "json"):
        sent = batch([b"fine", b"\xff", b"\xe2\x82"])
        calls([sent], wanted)
        assert len(sent.undecodable) == 2


def test_batches_of_both_streams_are_merged_and_keep_their_rows() -> None:
    later = batch([b"2", b"4"], start_ns=START_NS + 1_000_000)
    [call] = calls([later, batch([b"1", b"3", b"5"], stream=Stream.STDERR)])
    assert [(row, event["message"]) for row, event in call] == [
        (2, "1"),
        (0, "2"),
        (3, "3"),
        (1, "4"),
        (4, "5"),
    ]


def test_calls_are_cut_at_events_bytes_and_a_day() -> None:
    assert list(map(len, calls([batch([b"x"] * 25_000)]))) == [10_000, 10_000, 5_000]
    full = batch([b"x" * (PUT_BYTES // 4 - OVERHEAD_BYTES)] * 5)
    assert list(map(len, calls([full]))) == [4, 1]
    days = [batch([b"x"], start_ns=START_NS + stamp) for stamp in (0, DAY_NS, DAY_NS + 1_000_000, 3 * DAY_NS)]
    assert list(map(len, calls(days))) == [2, 1, 1]


@given(st.text(min_size=1, max_size=3000), st.integers(1024, 1200))
def test_a_line_too_long_is_several_events_that_together_are_the_line(text: str, event_bytes: int) -> None:
    line = text.encode(errors="replace")
    sent = batch([b"before", line, b"after"])
    got = [pair for call in calls([sent], event_bytes=event_bytes) for pair in call]
    assert "".join(event["message"] for row, event in got if row == 1) == line.decode()
    assert [row for row, _ in got] == sorted(row for row, _ in got)


def test_a_record_too_long_as_json_is_refused_and_its_neighbours_are_not() -> None:
    made = events([(3, batch([b"before", b"x" * 1000, b"after"]))], "json", 1024)
    assert list(made.refused) == [4]
    assert made.refused[4].startswith("an event may have 998 bytes, and the record has 1")
    assert made.rows == [3, 5]


def test_times_of_records_own_are_in_order_and_those_far_away_cost_no_calls() -> None:
    """By these a container could hold up all others; the record tells its time in any case."""
    sent = batch([b"a", b"b", b"c", b"d"], start_ns=START_NS)
    sent.read_at = sent.timestamps
    sent.timestamps = [START_NS + away for away in (HOUR_NS, 0, -11 * HOUR_NS, -3 * DAY_NS)]
    [call] = calls([sent], "json")
    assert [row for row, _ in call] == [2, 1, 3, 0]
    assert call[2][1]["timestamp"] == sent.read_at[3] // 1_000_000
    found = {row: read_line(event["message"].encode()) for row, event in call}
    assert [found[row] for row in range(4)] == expected([sent])


def test_level_and_fields_are_in_events_of_json_alone() -> None:
    sent = batch([b"x"])
    sent.levels, sent.fields = bytes([Level.ERROR]), [b'{"a":1}']
    [[(_, event)]] = calls([sent], "json")
    assert read_line(event["message"].encode()) == expected([sent])[0]
    assert [event["message"] for _, event in calls([sent])[0]] == ["x"]
