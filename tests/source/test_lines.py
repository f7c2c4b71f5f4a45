"""Frames → records: pieces joined, times read, long lines cut."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.batch import NS, rfc3339
from agent.errors import StreamError
from agent.source.frames import Frames
from agent.source.lines import Assembler, Records, parse_time
from tests.source.histories import History, histories

PIECE = 16 * 1024
NOON = 1_790_000_000 * NS
Sent = tuple[int, int, bytes]  # stream, time, payload


def frames(*sent: Sent) -> Frames:
    return Frames([s[0] for s in sent], [rfc3339(s[1]) + b" " + s[2] for s in sent])


def assembled(*sent: Sent, **options: bool | int) -> list[tuple[int, bytes]]:
    """Streams and texts of the records, finished."""
    assembler = Assembler(**({"max_line_bytes": 1 << 20} | options))  # type: ignore[arg-type]
    records = assembler.feed(frames(*sent))
    records.extend(assembler.finish())
    return list(zip(records.streams, records.messages, strict=True))


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(histories(), st.integers(0, 2**32))
def test_any_cuts_give_the_same_records_and_the_lines_as_written(history: History, seed: int) -> None:
    """Fed at once or frame by frame, by the quick way and by the careful one."""
    sent = [(piece.stream, piece.at, piece.payload) for piece in history.pieces]
    chance, assembler, records = random.Random(seed), Assembler(max_line_bytes=1 << 20), Records()
    rest = list(sent)
    while rest:
        size = chance.randint(1, 5)
        records.extend(assembler.feed(frames(*rest[:size])))
        rest = rest[size:]
    assert not assembler.open_streams
    whole = Assembler(max_line_bytes=1 << 20).feed(frames(*sent))
    assert (records.streams, records.stamps, records.messages) == (
        whole.streams,
        whole.stamps,
        whole.messages,
    )
    assert records.times == whole.times == list(map(rfc3339, records.stamps))
    for stream in (1, 2):
        assert [m for s, m in zip(records.streams, records.messages, strict=True) if s == stream] == [
            text for of, text in history.lines if of == stream
        ]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 40_000])
@pytest.mark.parametrize("newline", [b"\n", b""])
def test_a_line_of_any_size_is_one_record(size: int, newline: bytes) -> None:
    """Also without the last newline: 20.10's `local`, where the last piece may be empty."""
    text = b"x" * size
    pieces = [(1, NOON, text[start : start + PIECE]) for start in range(0, size - size % PIECE, PIECE)]
    last = (1, NOON, text[size - size % PIECE :] + newline)
    assert assembled(*pieces, last, (1, NOON, b"next\n")) == [(1, text), (1, b"next")]


def test_the_other_stream_s_lines_stand_between_the_pieces() -> None:
    """Each stream has its own open line."""
    assert assembled(
        (1, NOON, b"x" * PIECE), (2, NOON + 1, b"err\n"), (2, NOON + 2, b"y" * PIECE), (1, NOON, b"end\n")
    ) == [(2, b"err"), (1, b"x" * PIECE + b"end"), (2, b"y" * PIECE)]


def test_a_piece_of_another_time_is_another_line() -> None:
    """A run that ended in a full piece, and the next."""
    assert assembled((1, NOON, b"x" * PIECE), (1, NOON + 1, b"next\n")) == [(1, b"x" * PIECE), (1, b"next")]


def test_journald_gives_each_piece_its_own_time() -> None:
    """There only the newline tells."""
    pieces = (1, NOON, b"x" * PIECE), (1, NOON + 5, b"end\n")
    assert assembled(*pieces, shared_stamps=False) == [(1, b"x" * PIECE + b"end")]


def test_a_character_cut_by_a_piece_does_not_cut_the_line() -> None:
    """json-file makes three bytes of each half: the pieces are no longer of 16 KiB."""
    broken = b"x" * (PIECE - 1) + "\ufffd".encode()
    assert assembled((1, NOON, broken), (1, NOON, "\ufffdend\n".encode())) == [
        (1, broken + "\ufffdend".encode())
    ]


@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("most", [100, PIECE, PIECE + 100, 3 * PIECE])
def test_a_longer_line_is_cut_and_marked(most: int, excess: int) -> None:
    """At the limit exactly, be it in the first piece, between two, or in the last."""
    text = bytes(97 + place % 26 for place in range(most + excess))
    pieces = [(1, NOON, text[start : start + PIECE]) for start in range(0, len(text), PIECE)]
    pieces[-1] = (1, NOON, pieces[-1][2] + b"\n")
    assembler = Assembler(max_line_bytes=most)
    records = assembler.feed(frames((2, NOON, b"short\n"), *pieces))
    records.extend(assembler.feed(frames((1, NOON, b"\n"))))
    assert records.messages[:2] == [b"short", text[:most]]
    assert records.truncated == ({1} if excess > 0 else set())


def test_an_endless_line_takes_no_more_memory_than_the_limit() -> None:
    """What is over is counted, not kept."""
    assembler = Assembler(max_line_bytes=3 * PIECE)
    for _ in range(1000):
        assembler.feed(frames((1, NOON, b"x" * PIECE)))
    assert sum(map(len, assembler._open[1].pieces)) == 3 * PIECE
    assert len(assembler._open[1].pieces) == 3
    records = assembler.feed(frames((1, NOON, b"\n")))
    assert (records.messages, records.truncated) == ([b"x" * 3 * PIECE], {0})


def test_bytes_that_are_not_utf_8_are_kept() -> None:
    """Encoders judge."""
    text = bytes(set(range(256)) - {10})
    assert assembled((1, NOON, text + b"\n")) == [(1, text)]


def test_a_tty_s_lines_lose_their_cr_and_no_other() -> None:
    """Also where it is the last byte of a piece."""
    lines = (
        (1, NOON, b"a\rb\r\r\n"),
        (1, NOON, b"x" * (PIECE - 1) + b"\r"),
        (1, NOON, b"\n"),
        (1, NOON, b"\r\n"),
    )
    assert assembled(*lines, tty=True) == [(1, b"a\rb\r"), (1, b"x" * (PIECE - 1)), (1, b"")]
    assert assembled((1, NOON, b"a\r\n")) == [(1, b"a\r")]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (b"2026-11-23T06:13:46.489633114Z", 1795414426489633114),
        (b"2026-11-23T06:13:46Z", 1795414426000000000),
        (b"2026-11-23T06:13:46.4Z", 1795414426400000000),
        (b"2026-11-23T08:13:46.489633114+02:00", 1795414426489633114),
        (b"2026-11-22T23:43:46.489633-06:30", 1795414426489633000),
        (b"1970-01-01T00:00:00Z", 0),
    ],
)
def test_times_have_any_fraction_and_zone(text: bytes, ns: int) -> None:
    """Other drivers, and Podman."""
    assert parse_time(text) == ns
    records = Assembler(max_line_bytes=99).feed(Frames([1, 1], [text + b" 12345678Z a\n", text + b" b\n"]))
    assert (records.stamps, records.messages) == ([ns, ns], [b"12345678Z a", b"b"])
    assert records.times == [rfc3339(ns)] * 2


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"2026-13-23T06:13:46Z",
        b"2026-11-23T06:13:46.489_33114Z",
        b"2026-11-23T06:13:46.+89633114Z",
        b"2026-11-23 06:13:46.489633114Z",
        b"2026-11-23T06:13:46,489633114Z",
        b"0001-01-01T00:00:00.000000000Z",
        b"1970-01-01T00:00:00+00:01",
        b"2262-04-11T23:47:16.854775807Z",
        b"9999-12-31T23:59:59.000000000Z",
        b"9999-12-31T23:59:59-99:99",
    ],
)
def test_what_is_no_time_is_told_and_the_text_is_kept(text: bytes) -> None:
    """With the time of the frame before; also a time that no column holds."""
    with pytest.raises(StreamError):
        parse_time(text)
    for first in (b"2026-11-23T06:13:46.000000001Z", b"2026-11-23T06:13:46.1Z"):
        assembler = Assembler(max_line_bytes=99)
        records = assembler.feed(Frames([1, 2], [first + b" a\n", text + b" lost time\n"]))
        assert records.messages == [b"a", text + b" lost time"]
        assert records.stamps[0] == records.stamps[1]
        assert assembler.malformed == 1


def test_podmans_pieces_are_of_any_length_and_time() -> None:
    """Only a newline ends a line: a piece is what one read of the container's pipe gave."""
    sent = [
        (1, NOON, b"a" * 8192),
        (2, NOON, b"err\n"),
        (1, NOON + 5, b"b"),
        (1, NOON + 9, b"\n"),
        (1, NOON + 9, b"c"),
    ]
    found = assembled(*sent, shared_stamps=False, short_ends=False)
    assert found == [(2, b"err"), (1, b"a" * 8192 + b"b"), (1, b"c")]


def test_rows_are_taken_with_their_marks() -> None:
    """By slice or by number."""
    records = Records([1, 2, 1], [1, 2, 3], [b"1", b"2", b"3"], [b"a", b"b", b"c"], {0, 2})
    assert records.take(slice(1, None)) == Records([2, 1], [2, 3], [b"2", b"3"], [b"b", b"c"], {1})
    assert records.take([2, 0]) == Records([1, 1], [3, 1], [b"3", b"1"], [b"c", b"a"], {0, 1})
    records.extend(Records([2], [4], [b"4"], [b"d"], {0}))
    assert (records.truncated, len(records)) == ({0, 2, 3}, 4)
