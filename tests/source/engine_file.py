"""A model of the Engine's log file, as plain as can be: what was written, in the order in which it was kept.

Place: what the tests of the source are held against. It is no simulator: no driver, no socket, no time passes.
Source: moby daemon/logger/loggerutils/logfile.go (since, tail), daemon/logger/copier.go (pieces).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.batch import Batch, Container, Stream, rfc3339
from agent.source.cursor import Cursor, Place
from agent.source.stream import OpenStream, Shape

PIECE = 16 * 1024
WEB = Container(id="ab" * 32, name="web", image="i", tag="t", host="h")
SHAPE = Shape(tty=False, shared_stamps=True, max_line_bytes=1 << 20)


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the file."""

    stream: int
    at: int
    payload: bytes = field(repr=False)  # up to 16 KiB

    @property
    def frame(self) -> bytes:
        text = rfc3339(self.at) + b" " + self.payload
        return struct.pack(">BxxxI", self.stream, len(text)) + text


@dataclass(slots=True)
class File:
    """The pieces, of which `visible` are written by now, and the first `rotated` are gone.

    exact_since  Engine 24 and later: `since` finds where to begin; before, it filters every record
    """

    pieces: Sequence[Piece]
    exact_since: bool = True
    visible: int = 0
    rotated: int = 0

    def answer(self, *, since: int = 0, tail: int | None = None) -> list[Piece]:
        """What a read without follow gives."""
        kept = list(self.pieces[self.rotated : self.visible])
        if tail is not None:
            return kept[-tail:] if tail else []
        if not self.exact_since:
            return [piece for piece in kept if piece.at >= since]
        begin = next((row for row, piece in enumerate(kept) if piece.at >= since), len(kept))
        return kept[begin:]


def between_lines(pieces: Sequence[Piece]) -> list[int]:
    """Before which pieces neither a line nor a run of lines of one time is under way."""
    places = []
    for place in range(len(pieces) + 1):
        before = {(piece.stream, piece.at) for piece in pieces[:place]}
        if before.isdisjoint((piece.stream, piece.at) for piece in pieces[place:]):
            places.append(place)
    return places


@dataclass(slots=True)
class Taken:
    """What was handed on, by stream: the lines, their ids, which were cut."""

    lines: dict[Stream, list[bytes]] = field(default_factory=lambda: {stream: [] for stream in Stream})
    ids: dict[Stream, list[bytes]] = field(default_factory=lambda: {stream: [] for stream in Stream})
    stamps: dict[Stream, list[int]] = field(default_factory=lambda: {stream: [] for stream in Stream})

    def add(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            assert len(batch.timestamps) == len(batch.messages) == len(batch.ids())
            assert list(batch.rfc3339()) == list(map(rfc3339, batch.timestamps))
            self.lines[batch.stream] += batch.messages
            self.ids[batch.stream] += batch.ids()
            self.stamps[batch.stream] += batch.timestamps

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))


def uncut(pieces: Iterable[Piece], cursor: Cursor | None = None) -> Taken:
    """What one read of all this gives, from its beginning to its end."""
    taken, place = Taken(), Place(cursor or Cursor())
    stream = OpenStream(SHAPE, place, repeats=None, jumps=None)
    step = stream.feed(b"".join(piece.frame for piece in pieces), 0)
    taken.add(place.take(step.records, WEB, open_streams=stream.open_streams, owed=stream.search.owed))
    return taken
