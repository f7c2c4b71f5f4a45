"""Frames → records: times read, 16 KiB pieces joined, long lines cut. Sans-I/O.

The Engine cuts lines into pieces of 16 KiB; only the last ends in a newline, and all carry the first piece's
time (not with journald). Driver `local` of Engine 20.10 drops the newline of a cut line's last piece too, and
json-file makes three bytes of each that is not UTF-8, such as half a character at the end of a piece. So a line
goes on while its last piece has no newline and at least a full piece's length, until a piece of another time
comes. Podman logs what each read of the container's pipe gave, of any length and with a time of its own: there
only a newline ends a line.
Source: moby daemon/logger/copier.go, containers/conmon src/ctr_logging.c; what Engines do was measured.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from agent.batch import NS, rfc3339
from agent.errors import StreamError
from agent.source.frames import PIECE_BYTES, Frames

_BLANK, _NEWLINE = b" \n"
_STAMP_BYTES = 30  # 2026-11-23T06:13:46.489633114Z
_LATEST_NS = (1 << 63) - NS
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.DOTALL)


@dataclass(slots=True)
class Records:
    """Columns of equal length, in order of arrival, over both streams of one container.

    streams  1 stdout, 2 stderr · stamps  ns · times  the same as RFC 3339 text · truncated  rows that were cut
    """

    streams: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    times: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    truncated: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.messages)

    def take(self, rows: list[int] | slice) -> Records:
        """Some of the rows, in the order given."""
        chosen = range(len(self))[rows] if isinstance(rows, slice) else rows
        if isinstance(rows, slice):
            columns = (self.streams[rows], self.stamps[rows], self.times[rows], self.messages[rows])
        else:
            columns = (
                [self.streams[row] for row in rows],
                [self.stamps[row] for row in rows],
                [self.times[row] for row in rows],
                [self.messages[row] for row in rows],
            )
        cut = {new for new, old in enumerate(chosen) if old in self.truncated} if self.truncated else set()
        return Records(*columns, cut)

    def extend(self, more: Records) -> None:
        """Append the rows of `more`."""
        self.truncated |= {row + len(self) for row in more.truncated}
        self.streams += more.streams
        self.stamps += more.stamps
        self.times += more.times
        self.messages += more.messages


@dataclass(slots=True)
class _Open:
    """A line whose end has not come."""

    stamp: int
    pieces: list[bytes]
    size: int


class Assembler:
    """Makes records of frames. One per opened stream; forget it when the stream is cut.

    max_line_bytes  longer lines are cut there and marked
    tty             lines end in CR LF
    shared_stamps   whether all pieces of a line carry one time (False: journald, Podman)
    short_ends      whether a piece shorter than the Engine's ends its line without a newline too (False: Podman)

    `newest_ns` is the time of the last frame, `malformed` counts frames that had none: their text is kept, with
    the time of the frame before.
    """

    def __init__(
        self, *, max_line_bytes: int, tty: bool = False, shared_stamps: bool = True, short_ends: bool = True
    ) -> None:
        self._max = max_line_bytes
        self._tty = tty
        self._shared = shared_stamps
        self._full = PIECE_BYTES if short_ends else 0
        self._open: dict[int, _Open] = {}
        self.newest_ns: int | None = None
        self.malformed = 0

    @property
    def open_streams(self) -> frozenset[int]:
        """The streams whose last line has not ended."""
        return frozenset(self._open)

    def feed(self, frames: Frames) -> Records:
        """The records these frames complete."""
        if not frames.payloads:
            return Records()
        if not self._tty and not self._open:
            records = self._whole_lines(frames)
            if records is not None:
                self.newest_ns = records.stamps[-1]
                return records
        return self._each(frames)

    def finish(self) -> Records:
        """The lines that never got their newline, once the container has ended."""
        records = Records()
        for stream in list(self._open):
            self._close(stream, records)
        return records

    def _whole_lines(self, frames: Frames) -> Records | None:
        """Every frame one whole line with a full stamp, as nearly all are: columns without a look at each."""
        payloads = frames.payloads
        if min(map(len, payloads)) <= _STAMP_BYTES or max(map(len, payloads)) > self._max + _STAMP_BYTES + 2:
            return None
        if {p[_STAMP_BYTES] for p in payloads} != {_BLANK} or {p[-1] for p in payloads} != {_NEWLINE}:
            return None
        times = [p[:_STAMP_BYTES] for p in payloads]
        try:
            stamps = _stamps_ns(times)
        except ValueError:
            return None
        return Records(frames.streams, stamps, times, [p[31:-1] for p in payloads])

    def _each(self, frames: Frames) -> Records:
        records = Records()
        for stream, payload in zip(frames.streams, frames.payloads, strict=True):
            text, _, body = payload.partition(b" ")
            try:
                self.newest_ns = stamp = parse_time(text)
            except StreamError:
                self.malformed += 1
                stamp, body = self.newest_ns or 0, payload
            self._piece(stream, stamp, self._plain(stream, body) if self._tty else body, records)
        return records

    def _plain(self, stream: int, body: bytes) -> bytes:
        """A TTY's piece without the CR of its line end, which may stand at the end of the piece before."""
        line = self._open.get(stream)
        if line is not None and body == b"\n" and line.pieces[-1].endswith(b"\r") and line.size <= self._max:
            line.pieces[-1] = line.pieces[-1][:-1]
            line.size -= 1
        return body[:-2] + b"\n" if body.endswith(b"\r\n") else body

    def _piece(self, stream: int, stamp: int, body: bytes, records: Records) -> None:
        line = self._open.get(stream)
        if line is not None and self._shared and line.stamp != stamp:
            self._close(stream, records)
            line = None
        if line is None:
            line = self._open[stream] = _Open(stamp, [], 0)
        ended = body.endswith(b"\n")
        whole = len(body) if not ended else len(body) - 1
        room = self._max - line.size
        if room > 0:
            line.pieces.append(body[: min(whole, room)])
        line.size += whole
        if ended or len(body) < self._full:
            self._close(stream, records)

    def _close(self, stream: int, records: Records) -> None:
        line = self._open.pop(stream)
        if line.size > self._max:
            records.truncated.add(len(records))
        records.streams.append(stream)
        records.stamps.append(line.stamp)
        records.times.append(rfc3339(line.stamp))
        records.messages.append(b"".join(line.pieces))


def parse_time(text: bytes) -> int:
    """RFC 3339 with any fraction and zone → ns since the epoch, 1970 to 2262. Raises StreamError."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        seconds = second_ns(match[1])
        fraction = int((match[2] or b"").ljust(9, b"0"))
        zone = (int(match[4]) * 3600 + int(match[5]) * 60) * NS if match[3] else 0
        return _within(seconds + fraction - (zone if match[3] == b"+" else -zone))
    except ValueError:
        raise StreamError(f"a record without a time: {text[:40]!r}") from None


def _stamps_ns(times: list[bytes]) -> list[int]:
    """Times as the Engine usually writes them, nine digits and Z → ns since the epoch. Raises ValueError."""
    text, second = b"".join(times), times[0][:20]
    digits = [time[20:29] for time in times]
    if text[29::_STAMP_BYTES] != b"Z" * len(times) or not b"".join(digits).isdigit():
        raise ValueError
    base = _whole_second_ns(second)
    if text.count(second) == len(times):  # it ends in a dot, so it is nowhere but at the beginning of each
        whole = b"%d" % (base // NS)
        stamps: list[int] = orjson.loads(b"[%b%b]" % (whole, (b"," + whole).join(digits)))
        return stamps
    bases = {start: _whole_second_ns(start) for start in {time[:20] for time in times}}
    return [bases[time[:20]] + int(fraction) for time, fraction in zip(times, digits, strict=True)]


@functools.lru_cache(maxsize=256)
def second_ns(text: bytes) -> int:
    """`2026-11-23T06:13:46`, UTC → ns since the epoch, 1970 to 2262. Raises ValueError."""
    moment = datetime.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return _within(int(moment.timestamp()) * NS)


def _whole_second_ns(text: bytes) -> int:
    """`2026-11-23T06:13:46.`: what stands before nine digits. Raises ValueError."""
    if text[19:] != b".":
        raise ValueError
    return second_ns(text[:19])


def _within(stamp: int) -> int:
    """A time that fits the columns it will go through: 63 bits of ns."""
    if not 0 <= stamp < _LATEST_NS:
        raise ValueError
    return stamp
