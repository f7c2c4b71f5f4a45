"""A log stream's bytes → frames: the parts of lines as the Engine sends them. Sans-I/O.

Multiplexed streams (no TTY) carry a header of 8 bytes before each part: stream, three zero bytes, length as
big-endian 32 bits. A TTY's stream is raw: its lines are the parts. Source: moby api/pkg/stdcopy and
daemon/server/httputils/logstream; Engine API reference, "Attach to a container", stream format.

Feed what came, in any cuts; each `feed` gives the frames that are complete. `pending` at the end of a stream
says that it was cut in mid-frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Protocol

from agent.errors import StreamError

STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3
#: No record is larger: pieces are cut at 16 KiB (awslogs: 256 KiB). More than this is not a frame's header.
MAX_FRAME_BYTES = 64 << 20
#: What the Engine writes before an error text once the answer has begun (moby daemon/logs.go).
ERROR_TEXT = b"Error grabbing logs: "
_HEADER = Struct(">BxxxI")


@dataclass(slots=True)
class Frames:
    """Columns of equal length, in order of arrival: number of the stream, part of a line as sent."""

    streams: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)


class Splitter(Protocol):
    """What cuts a stream into frames."""

    pending: int

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
                    raise FrameError("bytes that are no frame of a log stream", Frames(streams, payloads))
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
    """Frames of a TTY's stream: its lines, all stdout, each ending in a newline but perhaps the last.

    `feed` raises StreamError at the Engine's bare error text.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes of an unfinished line."""
        return len(self._rest)

    def feed(self, data: bytes) -> Frames:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        payloads = [line + b"\n" for line in lines]
        frames = Frames([STDOUT] * len(payloads), payloads)
        if ERROR_TEXT in self._rest or any(line.startswith(ERROR_TEXT) for line in payloads):
            raise _tty_error(frames, self._rest)
        return frames

    def finish(self) -> Frames:
        """The unfinished last line, once the stream has ended for good."""
        rest, self._rest = self._rest, b""
        return Frames([STDOUT], [rest]) if rest else Frames()


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


def _tty_error(frames: Frames, rest: bytes) -> FrameError:
    row = next(
        (i for i, line in enumerate(frames.payloads) if line.startswith(ERROR_TEXT)), len(frames.payloads)
    )
    text = frames.payloads[row] if row < len(frames.payloads) else rest[rest.find(ERROR_TEXT) :]
    return FrameError(
        text.decode(errors="replace").strip(), Frames(frames.streams[:row], frames.payloads[:row])
    )
