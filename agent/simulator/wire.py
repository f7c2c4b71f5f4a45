"""How records look on the wire: frames, timestamps and `details`.

Place: used by `streams`; sans-I/O.
Source: moby daemon/server/httputils/logstream, pkg/stdcopy/stdcopy.go, RFC 3339 with nine fraction digits.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote_plus

from agent.simulator.copier import SYSTEM_ERROR, Piece

_header: Final = struct.Struct(">B3xL").pack
NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LogFormat:
    """What the reader of one log stream asked for. `details` is put before each line, its space included."""

    streams: frozenset[int]
    tty: bool
    timestamps: bool
    details: bytes

    def encode(self, pieces: Iterable[Piece]) -> list[bytes]:
        """Return what is sent for each record that the reader wants."""
        wanted = self.streams | {SYSTEM_ERROR}
        render = self._renderer()
        return [render(piece) for piece in pieces if piece.stream in wanted]

    def _renderer(self) -> Callable[[Piece], bytes]:
        if self.tty:
            return self._text
        if self.timestamps and not self.details:
            return _stamped_frame
        return lambda piece: frame(piece.stream, self._text(piece))

    def _text(self, piece: Piece) -> bytes:
        if piece.stream == SYSTEM_ERROR:
            return piece.payload
        text = self.details + piece.payload
        return rfc3339(piece.at) + b" " + text if self.timestamps else text


def frame(stream: int, payload: bytes) -> bytes:
    """Return one frame of a multiplexed stream."""
    return _header(stream, len(payload)) + payload


def rfc3339(at: int) -> bytes:
    """Return a time in nanoseconds as the Engine writes it before a record: 30 bytes."""
    seconds, nanoseconds = divmod(at, NANOSECONDS)
    return b"%s.%09dZ" % (_second(seconds), nanoseconds)


def details_of(attributes: Mapping[str, str]) -> bytes:
    """Return what `details=1` puts before a line: sorted, escaped pairs; a space even if there are none."""
    pairs = (f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(attributes.items()))
    return ",".join(pairs).encode() + b" "


def parse_time(text: str) -> int:
    """Read the API's `seconds[.fraction]`; nanoseconds, 0 for nothing. ValueError if it is not a time."""
    seconds, _, fraction = text.partition(".")
    if not text:
        return 0
    sign = -1 if seconds.startswith("-") else 1
    return int(seconds) * NANOSECONDS + sign * int(fraction[:9].ljust(9, "0"))


def _stamped_frame(piece: Piece) -> bytes:
    stream, at, payload = piece
    if stream == SYSTEM_ERROR:
        return frame(stream, payload)
    seconds, nanoseconds = divmod(at, NANOSECONDS)
    return b"%s%s.%09dZ %s" % (_header(stream, len(payload) + 31), _second(seconds), nanoseconds, payload)


@lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()
