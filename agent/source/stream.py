"""One opened log stream: its bytes in, the records that are new out. Sans-I/O.

Puts the stages together: frames, lines, the search for the cursor's mark, repeats, jumps.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.source.cursor import Place, Search
from agent.source.frames import Demultiplexer, FrameError, Frames, TtySplitter
from agent.source.lines import Assembler, Records
from agent.source.repeats import Repeats
from agent.source.rotation import Jumps


@dataclass(frozen=True, slots=True)
class Shape:
    """What a container's log streams look like. See `Assembler`."""

    tty: bool
    shared_stamps: bool
    max_line_bytes: int
    short_ends: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """What some bytes came to.

    records  new ones · repeats  how many were left out as sent before
    behind   these follow after a jump: a file may have been left out in between; None: there is no jump
    error    the Engine's own error, or bytes that are no frame: the stream is at its end
    """

    records: Records
    repeats: int = 0
    behind: Records | None = None
    error: str | None = None


class OpenStream:
    """`feed` what came, and say when it is `kept`; at the end of the container's life, `finish`.

    partial  see `Search`
    `pieces` counts what came as the Engine counts `tail`: a long line is several.
    """

    def __init__(
        self,
        shape: Shape,
        place: Place,
        *,
        repeats: Repeats | None,
        jumps: Jumps | None,
        partial: bool = False,
    ) -> None:
        self.search = Search(place.cursor, place, partial=partial)
        self.pieces = 0
        self._splitter = TtySplitter() if shape.tty else Demultiplexer()
        self._unended: frozenset[int] = frozenset()
        self._lines = Assembler(
            max_line_bytes=shape.max_line_bytes,
            tty=shape.tty,
            shared_stamps=shape.shared_stamps,
            short_ends=shape.short_ends,
        )
        self._repeats = repeats
        self._jumps = jumps
        if jumps:
            jumps.begin()

    @property
    def open_streams(self) -> frozenset[int]:
        """The streams whose last line has not ended.

        After `finish` too: where the next run begins, that line may come to its end only then.
        """
        return self._lines.open_streams | self._unended

    @property
    def newest_ns(self) -> int | None:
        """The time of the last frame that came."""
        return self._lines.newest_ns

    @property
    def malformed(self) -> int:
        """Frames that had no time."""
        return self._lines.malformed

    @property
    def cut(self) -> bool:
        """Whether the stream stands in the middle of a frame, or of a time: it was cut off."""
        if isinstance(self._splitter, TtySplitter):
            return self._splitter.torn
        return self._splitter.pending > 0

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun and not ended."""
        return self._splitter.pending > 0 or bool(self._lines.open_streams)

    def feed(self, data: bytes, now_ns: int) -> Step:
        """What these bytes complete. `now_ns` is the Engine's time."""
        error = None
        try:
            frames = self._splitter.feed(data)
        except FrameError as found:
            frames, error = found.frames, str(found)
        self.pieces += len(frames.payloads)
        return self._step(self._lines.feed(frames), now_ns, error)

    def settle(self, now_ns: int, *, present: bool) -> Step:
        """`Search.settle`, and what it lets go."""
        return self._new(self.search.settle(present=present), now_ns, None)

    def finish(self, now_ns: int) -> Step:
        """The lines without a newline, once the container has ended."""
        rest = self._splitter.finish() if isinstance(self._splitter, TtySplitter) else Frames()
        records = self._lines.feed(rest)
        self._unended = self._lines.open_streams
        records.extend(self._lines.finish())
        return self._step(records, now_ns, None)

    def kept(self, step: Step) -> None:
        """What the step gave is safe: when the Engine sends it again, it is a repeat."""
        if self._repeats:
            self._repeats.remember(step.records)

    def _step(self, records: Records, now_ns: int, error: str | None) -> Step:
        return self._new(self.search.feed(records), now_ns, error)

    def _new(self, records: Records, now_ns: int, error: str | None) -> Step:
        came = len(records)
        if self._repeats:
            records = self._repeats.leave_out(records)
        repeats = came - len(records)
        row = self._jumps.suspect(records, now_ns) if self._jumps else None
        if row is not None:
            return Step(records.take(slice(0, row)), repeats, records.take(slice(row, None)), error)
        return Step(records, repeats, error=error)
