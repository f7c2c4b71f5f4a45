"""Bytes → frames: any cuts of any stream give the same, and what is no stream is told."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import NS, rfc3339
from agent.source.frames import (
    ERROR_TEXT,
    MAX_FRAME_BYTES,
    Demultiplexer,
    FrameError,
    Frames,
    Splitter,
    TtySplitter,
)

PIECE = 16 * 1024
NOON = 1_790_000_000 * NS
FRAMES = st.lists(st.tuples(st.sampled_from((1, 2)), st.binary(max_size=40)), max_size=12)


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(payload)) + payload


def stamp(seconds: int) -> bytes:
    return rfc3339(NOON + seconds * NS) + b" "


def parts(data: bytes, seed: int) -> Iterator[bytes]:
    """`data` in parts of any size."""
    chance = random.Random(seed)
    while data:
        size = chance.choice((1, 2, 7, 8, 9, 50, 20_000))
        yield data[:size]
        data = data[size:]


def split(splitter: Splitter, data: bytes, seed: int | None = None) -> tuple[Frames, str | None]:
    """All frames, and the error that ended them."""
    all_ = Frames()
    for part in [data] if seed is None else parts(data, seed):
        try:
            frames, error = splitter.feed(part), None
        except FrameError as found:
            frames, error = found.frames, str(found)
        all_.streams += frames.streams
        all_.payloads += frames.payloads
        if error is not None:
            return all_, error
    return all_, None


@given(FRAMES, st.integers(0, 2**32))
def test_any_cuts_of_any_frames_give_the_same_frames(frames: list[tuple[int, bytes]], seed: int) -> None:
    """Empty ones, too."""
    splitter = Demultiplexer()
    got, error = split(splitter, b"".join(frame(*one) for one in frames), seed)
    assert list(zip(got.streams, got.payloads, strict=True)) == frames
    assert (error, splitter.pending) == (None, 0)


@given(
    FRAMES,
    st.sampled_from((b"\x03", b"\x00", b"\x04", b"<", b"\xff")),
    st.binary(max_size=30),
    st.integers(0, 99),
)
def test_what_stands_before_an_error_counts_and_nothing_behind_it(
    frames: list[tuple[int, bytes]], head: bytes, text: bytes, seed: int
) -> None:
    """Whatever the cuts: the Engine's own error, a stream of no number, or bytes of a proxy."""
    bad = head + b"\0\0\0" + struct.pack(">I", len(text)) + text
    for cuts in (None, seed):
        got, error = split(Demultiplexer(), b"".join(frame(*one) for one in frames) + bad + b"x" * 99, cuts)
        assert list(zip(got.streams, got.payloads, strict=True)) == frames
        assert error is not None


def test_the_engine_s_error_is_told_in_its_own_words() -> None:
    """Type 3."""
    data = frame(1, b"a\n") + frame(3, ERROR_TEXT + b"invalid character\n")
    assert split(Demultiplexer(), data) == (Frames([1], [b"a\n"]), "Error grabbing logs: invalid character")


def test_an_error_before_garbage_is_still_the_error() -> None:
    """One read may bring both."""
    data = frame(1, b"a\n") + frame(3, b"broken") + b"<html></html>"
    assert split(Demultiplexer(), data) == (Frames([1], [b"a\n"]), "broken")


def test_a_frame_that_no_memory_could_hold_is_none() -> None:
    """Its header is not waited for."""
    with pytest.raises(FrameError):
        Demultiplexer().feed(struct.pack(">BxxxI", 1, MAX_FRAME_BYTES + 1))
    waiting = Demultiplexer()
    waiting.feed(struct.pack(">BxxxI", 1, MAX_FRAME_BYTES))
    assert waiting.pending == 8


def test_a_stream_cut_in_mid_frame_shows_it() -> None:
    """In the header or behind it."""
    splitter = Demultiplexer()
    for byte in frame(1, b"abc")[:-1]:
        assert splitter.feed(bytes([byte])) == Frames()
        assert splitter.pending
    assert splitter.feed(b"c") == Frames([1], [b"abc"])
    assert not splitter.pending


# --- TTY

TTY_LINES = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 2), st.binary(max_size=20).map(lambda b: b.replace(b"\n", b""))
    ),
    max_size=6,
)


def tty_pieces(lines: list[tuple[int, int, bytes]]) -> list[bytes]:
    """What the Engine sends of lines of so many full pieces and a rest, at their seconds."""
    return [
        stamp(second) + piece
        for second, full, text in lines
        for piece in [*[b"x" * PIECE] * full, text + b"\r\n"]
    ]


@given(TTY_LINES, st.integers(0, 2**32))
def test_any_cuts_of_a_tty_s_stream_give_its_pieces(lines: list[tuple[int, int, bytes]], seed: int) -> None:
    """Lines, and the 16 KiB pieces of the long ones, between which only their stamps stand."""
    pieces = tty_pieces(lines)
    splitter = TtySplitter()
    assert split(splitter, b"".join(pieces), seed) == (Frames([1] * len(pieces), pieces), None)
    assert splitter.finish() == Frames()


@given(st.integers(0, 2**32), st.sampled_from((1, 100, PIECE - 1, PIECE, 2 * PIECE)))
def test_what_a_run_left_unfinished_ends_where_the_next_begins(seed: int, size: int) -> None:
    """A later stamp in mid-line; times that an application prints are not later."""
    unfinished = [stamp(1) + b"x" * min(PIECE, size - start) for start in range(0, size, PIECE)]
    pieces = [*unfinished, stamp(2) + b"at " + stamp(1) + b"it began\r\n"]
    assert split(TtySplitter(), b"".join(pieces), seed) == (Frames([1] * len(pieces), pieces), None)


@pytest.mark.parametrize("zone", [b"Z", b"+05:30", b"-08:00"])
def test_podman_stamps_each_piece_of_a_tty_s_line_in_its_own_zone(zone: bytes) -> None:
    """However short the pieces are."""
    pieces = [
        b"2026-11-23T06:13:46.489633114%b prompt> " % zone,
        b"2026-11-23T06:13:47.000000001%b ls\r\n" % zone,
        b"2026-11-23T06:13:47.000000001%b a b\r\n" % zone,
    ]
    for seed in range(5):
        assert split(TtySplitter(), b"".join(pieces), seed) == (Frames([1] * 3, pieces), None)


def test_a_tty_s_last_line_may_have_no_end() -> None:
    """It is given when the stream is at its end for good."""
    splitter = TtySplitter()
    assert split(splitter, stamp(1) + b"a\r\n" + stamp(2) + b"$ ", 1)[0].payloads == [stamp(1) + b"a\r\n"]
    assert splitter.pending == 33
    assert splitter.finish() == Frames([1], [stamp(2) + b"$ "])
    assert splitter.finish() == Frames()


@pytest.mark.parametrize("before", [[], [stamp(1) + b"a\r\n"], [stamp(1) + b"x" * PIECE]])
def test_the_bare_error_text_is_an_error_at_a_border_of_pieces(before: list[bytes]) -> None:
    """It has no stamp."""
    data = b"".join(before) + ERROR_TEXT + b"EOF\n"
    expected = Frames([1] * len(before), before), "Error grabbing logs: EOF"
    assert split(TtySplitter(), data) == expected
    assert split(TtySplitter(), data, 3)[0] == expected[0]


@given(st.integers(0, 2**32))
def test_an_application_may_print_the_engine_s_words(seed: int) -> None:
    """Wherever the stream is cut, it is a line."""
    line = stamp(1) + b"they said: " + ERROR_TEXT + b"EOF\r\n"
    assert split(TtySplitter(), line, seed) == (Frames([1], [line]), None)


def test_a_tty_s_endless_line_takes_no_endless_memory() -> None:
    """Of the Engine's pieces no more than one or two are held."""
    splitter = TtySplitter()
    for _ in range(200):
        splitter.feed(stamp(1) + b"x" * PIECE)
        assert splitter.pending <= 2 * (PIECE + 31)


@pytest.mark.parametrize(
    ("rest", "torn"),
    [
        (b"", False),
        (b"2026-11-23T06:13", True),
        (b"2026-11-23T06:13:46.489633114Z", True),
        (b"2026-11-23T06:13:46.489633114Z prompt> ", False),
    ],
)
def test_a_terminals_stream_that_ends_within_a_time_was_cut_off(rest: bytes, torn: bool) -> None:  # noqa: FBT001
    """One that ends behind it has a line that the process did not end."""
    splitter = TtySplitter()
    splitter.feed(b"2026-11-23T06:13:45.000000001Z whole\r\n" + rest)
    assert splitter.torn is torn
