"""A parcel: what one request carries, and which rows of which entries these are.

Plain functions over columns, without I/O. Batches are cut to the limits of a request, halved to find a record
at fault, picked from when a receiver took only some; the entries' numbers travel along.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.batch import RECORD_OVERHEAD_BYTES, Batch


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows of the entry `seq`; `bytes` are those of their messages."""

    seq: int
    batch: Batch
    bytes: int

    @classmethod
    def of(cls, seq: int, batch: Batch) -> Part:
        return cls(seq, batch, sum(map(len, batch.messages)))

    @property
    def weight(self) -> int:
        """Bytes of the messages and fields, and of what most formats put around them."""
        return self.bytes + self.batch.fields_bytes + len(self.batch) * RECORD_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """The parts of one request, in order. Rows are counted over all of them, from 0."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(len(part.batch) for part in self.parts)

    @property
    def batches(self) -> list[Batch]:
        return [part.batch for part in self.parts]

    @property
    def bytes(self) -> int:
        """Bytes of the messages."""
        return sum(part.bytes for part in self.parts)

    @property
    def weight(self) -> int:
        return sum(part.weight for part in self.parts)

    def halves(self) -> tuple[Parcel, Parcel]:
        """The earlier and the later half; of at least two records."""
        middle = len(self) // 2
        return self.slice(0, middle), self.slice(middle, len(self))

    def slice(self, start: int, stop: int) -> Parcel:
        """The rows `start` to `stop` (exclusive). Whole batches stay themselves, encodings included."""
        parts = []
        for part in self.parts:
            size = len(part.batch)
            first, last = max(start, 0), min(stop, size)
            if first < last:
                whole = last - first == size
                parts.append(part if whole else Part.of(part.seq, part.batch.rows(first, last)))
            start, stop = start - size, stop - size
        return Parcel(tuple(parts))

    def pick(self, rows: Sequence[int]) -> Parcel:
        """These rows, given in rising order."""
        parts, begin, taken = [], 0, 0
        for part in self.parts:
            size = len(part.batch)
            end = bisect.bisect_left(rows, begin + size, lo=taken)
            if end - taken == size:
                parts.append(part)
            elif end > taken:
                own = [row - begin for row in rows[taken:end]]
                parts.append(Part.of(part.seq, part.batch.pick(own)))
            begin, taken = begin + size, end
        return Parcel(tuple(parts))


def cut(numbered: Iterable[tuple[int, Batch]], *, records: int, weight: int) -> Iterator[Parcel]:
    """Parcels of at most so many records and so much weight, in order.

    A batch is cut only when it would not fit a parcel of its own. A record beyond `weight` travels alone.
    """
    parts: list[Part] = []
    room_records, room_weight = records, weight
    for seq, batch in numbered:
        part = Part.of(seq, batch)
        if parts and (len(batch) > room_records or part.weight > room_weight):
            yield Parcel(tuple(parts))
            parts, room_records, room_weight = [], records, weight
        if len(batch) > records or part.weight > weight:
            yield from _pieces(part, records, weight)
            continue
        parts.append(part)
        room_records -= len(batch)
        room_weight -= part.weight
    if parts:
        yield Parcel(tuple(parts))


def _pieces(part: Part, records: int, weight: int) -> Iterator[Parcel]:
    """One batch that no single parcel takes, as several."""
    batch = part.batch
    sizes: Iterable[int] = map(len, batch.messages)
    if batch.fields is not None:
        sizes = (size + len(fields or b"") for size, fields in zip(sizes, batch.fields, strict=True))
    ends = list(itertools.accumulate(size + RECORD_OVERHEAD_BYTES for size in sizes))
    start, spent = 0, 0
    while start < len(batch):
        heavy = bisect.bisect_right(ends, spent + weight, lo=start)
        stop = min(start + records, max(heavy, start + 1))
        yield Parcel((Part.of(part.seq, batch.rows(start, stop)),))
        start, spent = stop, ends[stop - 1]
