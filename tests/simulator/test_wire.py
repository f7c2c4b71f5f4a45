"""Frames, times and details, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulator.copier import STDERR, STDOUT, SYSTEM_ERROR, Piece
from agent.simulator.wire import LogFormat, details_of, frame, parse_time, rfc3339

PIECES = [Piece(STDOUT, 1, b"out\n"), Piece(STDERR, 2, b"err\n"), Piece(SYSTEM_ERROR, 0, b"broken\n")]
ALL = frozenset({STDOUT, STDERR})


def test_a_frame_is_eight_bytes_and_the_payload() -> None:
    """The length is big-endian."""
    assert frame(STDERR, b"x" * 258) == b"\x02\x00\x00\x00\x00\x00\x01\x02" + b"x" * 258


def test_times_have_nine_digits_always() -> None:
    """So that they sort as text."""
    assert rfc3339(1_795_428_090_000_000_007) == b"2026-11-23T10:01:30.000000007Z"


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        (ALL, [frame(1, b"out\n"), frame(2, b"err\n"), frame(3, b"broken\n")]),
        ({STDERR}, [frame(2, b"err\n"), frame(3, b"broken\n")]),
    ],
)
def test_a_reader_gets_the_streams_it_chose_and_errors(streams: set[int], expected: list[bytes]) -> None:
    """The daemon's own errors go to all."""
    assert LogFormat(frozenset(streams), tty=False, timestamps=False, details=b"").encode(PIECES) == expected


@pytest.mark.parametrize("details", [b"", b"a=1 "])
def test_time_then_details_then_the_line(details: bytes) -> None:
    """But not before an error of the daemon."""
    time = b"1970-01-01T00:00:00.00000000%d"
    expected = [time % 1 + b"Z " + details + b"out\n", time % 2 + b"Z " + details + b"err\n", b"broken\n"]
    stamped = LogFormat(ALL, tty=True, timestamps=True, details=details)
    assert stamped.encode(PIECES) == expected
    framed = LogFormat(ALL, tty=False, timestamps=True, details=details)
    assert framed.encode(PIECES) == [frame(i, text) for i, text in enumerate(expected, 1)]


def test_details_are_sorted_and_escaped_and_a_space_at_least() -> None:
    """As the API gives them."""
    assert details_of({"b": "x y", "a": "1,2"}) == b"a=1%2C2,b=x+y "
    assert details_of({}) == b" "


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("", 0),
        ("0", 0),
        ("12", 12 * 10**9),
        ("12.5", 12_500_000_000),
        ("1.000000001", 1_000_000_001),
        ("1.", 10**9),
    ],
)
def test_a_time_is_seconds_and_a_fraction(text: str, nanoseconds: int) -> None:
    """Nine digits of which count."""
    assert parse_time(text) == nanoseconds


@pytest.mark.parametrize("text", ["abc", "1.x", "2026-11-23T10:01:30Z"])
def test_other_times_are_errors(text: str) -> None:
    """RFC 3339 is the command line's, not the wire's."""
    with pytest.raises(ValueError, match="invalid literal"):
        parse_time(text)


@given(st.integers(0, 2**62))
def test_what_is_written_as_a_fraction_is_read_back(at: int) -> None:
    """To the nanosecond."""
    assert parse_time(f"{at // 10**9}.{at % 10**9:09}") == at
