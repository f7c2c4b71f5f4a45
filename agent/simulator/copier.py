"""What a container's process wrote, cut into the pieces that the Engine's log keeps.

Place: the lowest step of the simulator, between `containers` and `log`; sans-I/O. Source: moby
daemon/logger/copier.go; jsonfilelog/jsonlog/jsonlogbytes.go for what json-file makes of bytes that are not
UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

STDOUT: Final = 1
STDERR: Final = 2
SYSTEM_ERROR: Final = 3
STREAMS: Final = {"stdout": STDOUT, "stderr": STDERR}

PIECE_BYTES: Final = 16 * 1024
"""The copier's buffer: a line longer than this is kept in pieces of exactly this size, and a rest."""

_ESCAPED = re.compile("[\udc80-\udcff]")


class Piece(NamedTuple):
    """One record of the stored log: a line with its newline, or a part of a long one.

    A tuple rather than a dataclass because a benchmark makes 300,000 of them a second.
    """

    stream: int
    at: int
    payload: bytes


class Copier:
    """Cuts one stream of one run of a container into pieces, whatever the writes were.

    A line of up to 16,383 bytes is one piece, stamped when its newline came. A longer one is cut every 16,384
    bytes; all its pieces bear the time of the first, and only the last ends in a newline. What has neither a
    newline nor 16 KiB waits for more, or for `finish`.
    """

    __slots__ = ("_ends_long_lines", "_first_piece_at", "_rest", "_stored", "_stream")

    def __init__(self, stream: int, *, driver: str = "json-file", ends_long_lines: bool = True) -> None:
        """`ends_long_lines` is false for 20.10's driver `local`, which drops a cut line's newline."""
        self._stream = stream
        self._stored = as_json_file_keeps if driver == "json-file" else _as_it_is
        self._ends_long_lines = ends_long_lines
        self._first_piece_at: int | None = None
        self._rest = b""

    @property
    def waiting(self) -> bytes:
        """What was written after the last piece."""
        return self._rest

    @property
    def at_line_start(self) -> bool:
        """Whether the next byte begins a line."""
        return not self._rest and self._first_piece_at is None

    def write(self, data: bytes, now: Callable[[], int]) -> list[Piece]:
        """Return the pieces that these bytes complete; `now` gives nanoseconds and is asked once a line."""
        buffer = self._rest + data if self._rest else data
        pieces: list[Piece] = []
        start = 0
        while True:
            newline = buffer.find(b"\n", start, start + PIECE_BYTES)
            if newline >= 0:
                pieces.append(self._last_piece(buffer[start:newline], now))
                start = newline + 1
            elif len(buffer) - start >= PIECE_BYTES:
                pieces.append(self._partial(buffer[start : start + PIECE_BYTES], now))
                start += PIECE_BYTES
            else:
                self._rest = buffer[start:]
                return pieces

    def finish(self, now: Callable[[], int]) -> list[Piece]:
        """The process is gone: what waited is a piece that never gets its newline."""
        rest, self._rest = self._rest, b""
        pieces = [self._partial(rest, now)] if rest else []
        self._first_piece_at = None
        return pieces

    def _last_piece(self, line: bytes, now: Callable[[], int]) -> Piece:
        first_piece_at, self._first_piece_at = self._first_piece_at, None
        if first_piece_at is None:
            return Piece(self._stream, now(), self._stored(line) + b"\n")
        newline = b"\n" if self._ends_long_lines else b""
        return Piece(self._stream, first_piece_at, self._stored(line) + newline)

    def _partial(self, part: bytes, now: Callable[[], int]) -> Piece:
        if self._first_piece_at is None:
            self._first_piece_at = now()
        return Piece(self._stream, self._first_piece_at, self._stored(part))


def as_json_file_keeps(payload: bytes) -> bytes:
    """Replace each byte that is not part of valid UTF-8 by a U+FFFD of its own, as Go's decoder does."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return _ESCAPED.sub("\ufffd", payload.decode(errors="surrogateescape")).encode()
    return payload


def _as_it_is(payload: bytes) -> bytes:
    return payload
