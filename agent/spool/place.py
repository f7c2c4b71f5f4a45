"""Place: where one sink is in the queue, what it has taken, and what still waits for it. Pure state, no I/O.

A sink goes through the sequence numbers in order. `next` is the first it has not looked at; of those before
it, some may be `ready` (read back from disk, or taken once and rewound), some `taken`; the rest are done.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from agent.batch import RECORD_OVERHEAD_BYTES, Batch, Container

#: What else an entry costs in memory: the objects around the columns.
SLOT_BYTES = 1000
#: What a record costs more when the source kept its time as text.
TIME_BYTES = 72
Range = tuple[int, int]
#: Past every sequence number.
LAST = (1 << 63) - 1


def wants(container: Container, sink: str) -> bool:
    """Whether a container's records are for this sink."""
    return container.sinks is None or sink in container.sinks


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch in the queue. `seq` grows, is never used twice, and may leave numbers out."""

    seq: int
    batch: Batch


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits for a sink: records, bytes of their messages, time of the oldest (ns; None: nothing waits)."""

    records: int
    bytes: int
    oldest_ns: int | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Records that a sink will not get."""

    sink: str
    container: str
    records: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Position:
    """A sink's place as it is saved: all up to `seq` is done, and the ranges `beyond` it, ends included."""

    seq: int
    beyond: tuple[Range, ...] = ()
    checkpoint: bytes | None = None


@dataclass(slots=True, eq=False)
class Slot:
    """A batch in memory. `seq` is 0 until it is accepted.

    holds  by how many (window, unwritten, sinks) it is kept; at 0 it goes
    """

    seq: int
    batch: Batch
    bytes: int
    size: int = 0
    available_at: float = float("-inf")
    holds: int = 0

    @classmethod
    def of(cls, seq: int, batch: Batch) -> Slot:
        """A slot for `batch`. O(records), so made once."""
        slot = cls(seq, batch, sum(map(len, batch.messages)) + batch.fields_bytes)
        slot.size = slot.measure()
        return slot

    @property
    def entry(self) -> Entry:
        return Entry(self.seq, self.batch)

    @property
    def records(self) -> int:
        return len(self.batch)

    @property
    def span_ns(self) -> tuple[int, int]:
        """Time of the first and last record. The Engine stamps in order, so the ends are enough."""
        stamps = self.batch.timestamps
        return min(stamps[0], stamps[-1]), max(stamps[0], stamps[-1])

    def measure(self) -> int:
        """Bytes it holds now: sinks add encodings to a batch. Unlike `Batch.size`, not O(records)."""
        batch = self.batch
        each = RECORD_OVERHEAD_BYTES if batch.times is None else RECORD_OVERHEAD_BYTES + TIME_BYTES
        return SLOT_BYTES + self.bytes + len(batch) * each + sum(map(len, batch.encoded.values()))


class Counted(Protocol):
    """Has a number of records, and of bytes of their messages."""

    @property
    def records(self) -> int: ...
    @property
    def bytes(self) -> int: ...


@dataclass(slots=True)
class Tally:
    """Records, and bytes of their messages."""

    records: int = 0
    bytes: int = 0

    def add(self, slot: Counted) -> None:
        self.records += slot.records
        self.bytes += slot.bytes

    def remove(self, slot: Counted) -> None:
        self.records -= slot.records
        self.bytes -= slot.bytes


@dataclass(slots=True, eq=False)
class Place:
    """One sink's place. Changed by `Queue` alone; times are monotonic seconds.

    hidden   accepted, but not to be seen yet (not committed)
    open     may be taken: in memory or on disk
    busy     taken and not done
    skip     ranges done before this run, out of order: not to be read back
    """

    name: str
    on_full: str
    next: int
    checkpoint: bytes | None = None
    hidden: Tally = field(default_factory=Tally)
    open: Tally = field(default_factory=Tally)
    busy: Tally = field(default_factory=Tally)
    ready: dict[int, Slot] = field(default_factory=dict)
    taken: dict[int, Slot] = field(default_factory=dict)
    skip: tuple[Range, ...] = ()
    oldest_ns: int | None = None
    _beyond: set[int] = field(default_factory=set)

    def wants(self, container: Container) -> bool:
        return wants(container, self.name)

    def undone(self) -> Iterator[Slot]:
        """What it holds in memory, in no order."""
        yield from self.taken.values()
        yield from self.ready.values()

    @property
    def first_undone(self) -> int:
        """All before this is done."""
        return min(next(iter(self.taken), self.next), next(iter(self.ready), self.next), self.next)

    def finish(self, seqs: Sequence[int]) -> list[Slot]:
        """Take these off; those it no longer knows are passed over. What was done is returned."""
        finished = []
        for seq in seqs:
            if (slot := self.taken.pop(seq, None)) is not None:
                self.busy.remove(slot)
            elif (slot := self.ready.pop(seq, None)) is not None:
                self.open.remove(slot)
            else:
                continue
            finished.append(slot)
        if finished:
            first = self.first_undone
            self.skip = tuple(pair for pair in self.skip if pair[1] >= first)
            self._beyond = {seq for seq in self._beyond if seq >= first}
            self._beyond.update(slot.seq for slot in finished if slot.seq >= first)
        return finished

    def rewind(self) -> None:
        """What was taken is ready again, in order, before all else."""
        for slot in self.taken.values():
            self.busy.remove(slot)
            self.open.add(slot)
        both = {**self.taken, **self.ready}
        self.ready = {seq: both[seq] for seq in sorted(both)}
        self.taken = {}

    def position(self, upto: int) -> Position:
        """The place as it can be saved when the disk knows the numbers up to `upto`."""
        done = min(self.first_undone - 1, upto)
        ranges = [(max(first, done + 1), min(last, upto)) for first, last in self.skip if last > done]
        if self._beyond:
            undone = sorted([*self.taken, *self.ready])
            for _, group in groupby(sorted(self._beyond), key=lambda seq: bisect(undone, seq)):
                seqs = [seq for seq in group if done < seq <= upto]
                if seqs:
                    ranges.append((seqs[0], seqs[-1]))
        return Position(done, tuple(pair for pair in ranges if pair[0] <= pair[1]), self.checkpoint)

    def lag(self, head: Slot | None) -> Lag:
        """`head`: the next it would look at, when that is in memory."""
        records = self.hidden.records + self.open.records + self.busy.records
        if not records:
            return Lag(0, 0, None)
        held = [next(iter(slots.values())).span_ns[0] for slots in (self.taken, self.ready) if slots]
        if not held and head is not None:
            held = [head.span_ns[0]]
        if held:
            self.oldest_ns = min(held)
        return Lag(records, self.hidden.bytes + self.open.bytes + self.busy.bytes, self.oldest_ns)
