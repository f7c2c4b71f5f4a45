"""A log stream's bytes → frames: the parts of lines as the Engine sends them. Sans-I/O.

Multiplexed streams (no TTY) carry a header of 8 bytes before each part: stream, three zero bytes, length as
big-endian 32 bits. A TTY's stream is raw: its lines are the parts. Source: moby api/pkg/stdcopy and
daemon/server/httputils/logstream; Engine API reference, "Attach to a container", stream format.

Feed what came, in any cuts; each `feed` gives the frames that are complete. `pending` at the end of a stream
says that it was cut in mid-frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from struct import Struct
from typing import Protocol

from agent.errors import StreamError

STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3
#: The Engine cuts a line into pieces of this size.
PIECE_BYTES = 16 * 1024
#: No record is larger: pieces are cut at 16 KiB (awslogs: 256 KiB). More than this is not a frame's header.
MAX_FRAME_BYTES = 64 << 20
#: The longest time and the blank behind it, with a zone: 2026-11-23T06:13:46.489633114+01:00
_TIME_BYTES = 36
#: What the Engine writes before an error text once the answer has begun (moby daemon/logs.go).
ERROR_TEXT = b"Error grabbing logs: "
_HEADER = Struct(">BxxxI")
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")


@dataclass(slots=True)
class Frames:
    """Columns of equal length, in order of arrival: number of the stream, part of a line as sent."""

    streams: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)


class Splitter(Protocol):
    """What cuts a stream into frames."""

    @property
    def pending(self) -> int: ...

    def feed(self, data: bytes) -> Frames: ...


class Demultiplexer:
    """Frames of a multiplexed stream.

    `feed` raises StreamError at bytes that are no header, and at a frame of the Engine's own error (type 3);
    what was complete before it is in the error's `frames`. After an error the stream is at its end.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes of an incomplete frame."""
        return len(self._rest)

    def feed(self, data: bytes) -> Frames:
        if self._rest:
            data = self._rest + data
        streams: list[int] = []
        payloads: list[bytes] = []
        add_stream, add_payload, unpack = streams.append, payloads.append, _HEADER.unpack_from
        start, size = 0, len(data)
        while size - start >= 8:
            stream, length = unpack(data, start)
            end = start + 8 + length
            if end > size:
                if length > MAX_FRAME_BYTES or stream > SYSTEM_ERROR:
                    raise _odd(Frames([*streams, 0], [*payloads, b""]))
                break
            add_stream(stream)
            add_payload(data[start + 8 : end])
            start = end
        self._rest = data[start:]
        frames = Frames(streams, payloads)
        if streams and (max(streams) >= SYSTEM_ERROR or min(streams) < STDOUT):
            raise _odd(frames)
        return frames


class TtySplitter:
    """Frames of a TTY's stream, all stdout: its lines, and the pieces of the long ones.

    Only stamps tell where a piece ends that has no newline: one of 16 KiB is followed by its own stamp again,
    and what a process left unfinished when it ended by the later one of the next run.

    `feed` raises StreamError at the Engine's bare error text, which has no stamp.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes of an unfinished piece."""
        return len(self._rest)

    @property
    def torn(self) -> bool:
        """Whether the unfinished piece has not even its time: then it was cut off, not left unfinished."""
        return bool(self._rest) and b" " not in self._rest[:_TIME_BYTES]

    def feed(self, data: bytes) -> Frames:
        lines = (self._rest + data).split(b"\n")
        unfinished = lines.pop()
        payloads: list[bytes] = []
        for line in lines:
            payloads += _tty_pieces(line + b"\n")
        *whole, self._rest = _tty_pieces(unfinished)
        payloads += whole
        if any(piece.startswith(ERROR_TEXT) for piece in (*payloads, self._rest)):
            raise _tty_error([*payloads, self._rest])
        if len(self._rest) > MAX_FRAME_BYTES:
            raise FrameError("bytes that are no line of a TTY", _of_stdout(payloads))
        return _of_stdout(payloads)

    def finish(self) -> Frames:
        """The unfinished last line, once the stream has ended for good."""
        rest, self._rest = self._rest, b""
        return _of_stdout([rest] if rest else [])


class FrameError(StreamError):
    """The stream ends here. `frames` are those before, which count; the text is the Engine's, if it sent one."""

    def __init__(self, message: str, frames: Frames) -> None:
        self.frames = frames
        super().__init__(message)


def _odd(frames: Frames) -> FrameError:
    row = next(row for row, stream in enumerate(frames.streams) if not STDOUT <= stream <= STDERR)
    before = Frames(frames.streams[:row], frames.payloads[:row])
    if frames.streams[row] == SYSTEM_ERROR:
        return FrameError(frames.payloads[row].decode(errors="replace").strip(), before)
    return FrameError("bytes that are no frame of a log stream", before)


def _tty_error(payloads: list[bytes]) -> FrameError:
    row = next(row for row, piece in enumerate(payloads) if piece.startswith(ERROR_TEXT))
    return FrameError(payloads[row].decode(errors="replace").strip(), _of_stdout(payloads[:row]))


def _of_stdout(payloads: list[bytes]) -> Frames:
    return Frames([STDOUT] * len(payloads), payloads)


def _tty_pieces(line: bytes) -> list[bytes]:
    """One line of a TTY's stream, or as much of it as came, as the pieces it was sent in."""
    zone = line[29 : line.find(b" ", 29, _TIME_BYTES) + 1]
    if len(line) <= PIECE_BYTES and line.count(zone) < 2:
        return [line]
    pieces: list[bytes] = []
    while border := _tty_border(line):
        pieces.append(line[:border])
        line = line[border:]
    return [*pieces, line]


def _tty_border(line: bytes) -> int:
    """Where the first piece of a line ends, if more of the line follows; else 0."""
    own = _STAMP.match(line)
    if own is None:
        return 0
    full = own.end() + PIECE_BYTES
    for other in _STAMP.finditer(line, own.end(), full + own.end()):
        if other[0] > own[0]:  # an application prints its own times too, but they are not later
            return other.start()
    return full if line.startswith((own[0], ERROR_TEXT), full) else 0
