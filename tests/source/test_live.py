"""Live output: whatever the writes were and however they are cut, the lines are the process's own."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import NS, rfc3339
from agent.source.frames import FrameError
from agent.source.lines import Records
from agent.source.live import LiveLines
from tests.source.histories import NOON

MOST = 8
#: What a process writes: line ends, empty lines, CR before and beside them, lines about as long as they may be.
WRITES = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc", b"\xff", b"x" * (MOST - 1), b"y" * 30])
)


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


def lines_of(written: bytes, *, tty: bool = False) -> tuple[list[bytes], bytes, set[int]]:
    """The model: what was written as whole lines, what is left, and which of the lines were cut."""
    *lines, rest = written.split(b"\n")
    if tty:
        lines = [line.removesuffix(b"\r") for line in lines]
    cut = {row for row, line in enumerate(lines) if len(line) > MOST}
    return [line[:MOST] for line in lines], rest, cut


def check(records: Records) -> None:
    """Columns of one length; times that say the same."""
    assert len(records.streams) == len(records.stamps) == len(records.times) == len(records.messages)
    assert records.times == list(map(rfc3339, records.stamps))
    assert all(0 <= row < len(records) for row in records.truncated)


def of_stream(records: Records, stream: int) -> Records:
    return records.take([row for row, of in enumerate(records.streams) if of == stream])


@given(st.lists(st.tuples(st.sampled_from([1, 2]), WRITES.map(b"".join)), max_size=8), st.integers(1, 40))
def test_lines_are_cut_where_the_process_ended_them(writes: list[tuple[int, bytes]], size: int) -> None:
    """Not where its writes end, nor the frames, nor what was received; the two streams apart."""
    live, records = LiveLines(tty=False, max_line_bytes=MOST), Records()
    sent = b"".join(frame(stream, data) for stream, data in writes)
    for start in range(0, len(sent), size):
        records.extend(live.feed(sent[start : start + size], NOON))
    last = live.finish(NOON)
    check(records)
    check(last)
    begun = False
    for stream in (1, 2):
        lines, rest, cut = lines_of(b"".join(data for of, data in writes if of == stream))
        mine, end = of_stream(records, stream), of_stream(last, stream)
        assert (mine.messages, mine.truncated) == (lines, cut)
        assert end.messages == ([rest[:MOST]] if rest else [])
        assert end.truncated == ({0} if len(rest) > MOST else set())
        begun |= bool(rest)
    assert not live.unfinished


@given(WRITES, st.integers(1, 40))
def test_a_terminal_s_lines_lose_the_cr_of_their_end(writes: list[bytes], size: int) -> None:
    """Wherever it is cut, and no other CR."""
    live, records, sent = LiveLines(tty=True, max_line_bytes=MOST), Records(), b"".join(writes)
    for start in range(0, len(sent), size):
        records.extend(live.feed(sent[start : start + size], NOON))
    lines, rest, cut = lines_of(sent, tty=True)
    check(records)
    assert (records.messages, records.truncated) == (lines, cut)
    assert live.unfinished == bool(rest)
    assert live.finish(NOON).messages == ([rest[:MOST]] if rest else [])


@given(
    st.lists(st.tuples(st.integers(-NS, NS), WRITES.map(b"".join))),
    st.integers(NOON - 5, NOON + 5),
    st.booleans(),
)
def test_no_two_lines_have_one_time_and_times_never_go_back(
    reads: list[tuple[int, bytes]],
    after: int,
    tty: bool,  # noqa: FBT001
) -> None:
    """Whatever the clock does. A line has the time of its read where that is later than the line before."""
    live, stamps, latest = LiveLines(tty=tty, max_line_bytes=MOST, after_ns=after), [after], after
    for step, data in reads:
        now = NOON + step
        records = live.feed(data if tty else frame(1, data[:1]) + frame(2, data[1:]), now)
        check(records)
        stamps += records.stamps
        if records:
            assert records.stamps[0] == max(now, latest + 1)
            assert records.stamps[-1] == records.stamps[0] + len(records) - 1
            latest = records.stamps[-1]
    assert all(one < two for one, two in pairwise(stamps))


def test_a_line_far_too_long_takes_no_more_room_than_it_may() -> None:
    """What is beyond is not kept, while it comes."""
    live = LiveLines(tty=False, max_line_bytes=MOST)
    for _ in range(100):
        assert len(live.feed(frame(1, b"x" * 1000), NOON)) == 0
    assert sum(map(len, live._lines[1]._pieces)) <= MOST + 1
    records = live.feed(frame(1, b"x\nnext\n"), NOON)
    assert (records.messages, records.truncated) == ([b"x" * MOST, b"next"], {0})


def test_a_frame_that_is_cut_off_leaves_something_unfinished() -> None:
    """A connection that ends there was cut."""
    live = LiveLines(tty=False, max_line_bytes=MOST)
    whole = frame(1, b"a\n")
    assert live.feed(whole + whole[:3], NOON).messages == [b"a"]
    assert live.unfinished
    assert live.feed(whole[3:], NOON).messages == [b"a"]
    assert not live.unfinished


def test_the_lines_before_an_error_count() -> None:
    """A frame of the Engine's own error ends the stream, and so do bytes that are none."""
    live = LiveLines(tty=False, max_line_bytes=MOST)
    with pytest.raises(FrameError, match="gone") as error:
        live.feed(frame(1, b"a\n") + frame(3, b"gone"), NOON)
    assert live.read(error.value.frames, NOON).messages == [b"a"]
