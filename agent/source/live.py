"""Live output → records: what a container prints, as an attached client is sent it. Sans-I/O.

Frames here are the process's writes, up to 32 KiB, in which lines begin and end anywhere. They carry no times: the
records of one read get the time of that read, a nanosecond apart, so that times never go back within a container
and no two of its records have the same. Source: moby daemon/attach.go and container/stream.
"""

from __future__ import annotations

from itertools import groupby

from agent.batch import rfc3339_run
from agent.source.frames import STDERR, STDOUT, Demultiplexer, Frames
from agent.source.lines import Records


class LiveLines:
    """Feed what came. What is left when the stream ends (`finish`) is a line without newline, or one cut off.

    max_line_bytes  longer lines are cut there and marked
    tty             one raw stream without frames; lines end in CR LF
    """

    def __init__(self, *, tty: bool, max_line_bytes: int, after_ns: int = 0) -> None:
        self._frames = None if tty else Demultiplexer()
        self._lines = {stream: _Lines(max_line_bytes, tty=tty) for stream in (STDOUT, STDERR)}
        self._last_ns = after_ns

    def feed(self, data: bytes, now_ns: int) -> Records:
        """The lines these bytes end. Raises FrameError; `read` what is in it."""
        if self._frames is None:
            return self._records(STDOUT, self._lines[STDOUT].feed(data), now_ns)
        return self.read(self._frames.feed(data), now_ns)

    def read(self, frames: Frames, now_ns: int) -> Records:
        """The lines that these frames end."""
        if len(set(frames.streams)) == 1:
            stream = frames.streams[0]
            return self._records(stream, self._lines[stream].feed(b"".join(frames.payloads)), now_ns)
        records = Records()
        row = 0
        for stream, run in groupby(frames.streams):
            stop = row + len(list(run))
            lines = self._lines[stream].feed(b"".join(frames.payloads[row:stop]))
            records.extend(self._records(stream, lines, now_ns))
            row = stop
        return records

    def finish(self, now_ns: int) -> Records:
        """The last lines, which never got their newline, of a process that has ended."""
        records = Records()
        for stream, lines in self._lines.items():
            records.extend(self._records(stream, lines.finish(), now_ns))
        return records

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun and not ended, or a frame."""
        return any(lines.pending for lines in self._lines.values()) or bool(
            self._frames and self._frames.pending
        )

    def _records(self, stream: int, lines: tuple[list[bytes], set[int]], now_ns: int) -> Records:
        messages, truncated = lines
        count = len(messages)
        if not count:
            return Records()
        first = max(now_ns, self._last_ns + 1)
        self._last_ns = first + count - 1
        return Records(
            [stream] * count,
            list(range(first, first + count)),
            rfc3339_run(first, count),
            messages,
            truncated,
        )


class _Lines:
    """Cuts one stream into lines."""

    def __init__(self, max_line_bytes: int, *, tty: bool) -> None:
        self._max = max_line_bytes
        self._tty = tty
        self._room = max_line_bytes + tty  # the CR is no part of the line
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        return self._size > 0

    def feed(self, data: bytes) -> tuple[list[bytes], set[int]]:
        """The lines these bytes end, and which of them were cut."""
        lines = data.split(b"\n")
        truncated = set[int]()
        if self._pieces and len(lines) > 1:
            self._add(lines[0])
            lines[0], cut = self._take()
            truncated |= {0} if cut else set()
        rest = lines.pop()
        if rest:
            self._add(rest)
        if self._tty:
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        if lines and max(map(len, lines)) > self._max:
            truncated |= {row for row, line in enumerate(lines) if len(line) > self._max}
            lines = [line[: self._max] for line in lines]
        return lines, truncated

    def finish(self) -> tuple[list[bytes], set[int]]:
        if not self._size:
            return [], set()
        line, cut = self._take()
        return [line[: self._max]], {0} if cut or len(line) > self._max else set()

    def _add(self, piece: bytes) -> None:
        if (room := self._room - self._size) > 0:
            self._pieces.append(piece[:room])
        self._size += len(piece)

    def _take(self) -> tuple[bytes, bool]:
        """The line that was begun, and whether some of it is missing."""
        line, cut = b"".join(self._pieces), self._size > self._room
        self._pieces, self._size = [], 0
        return line, cut
