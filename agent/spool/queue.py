"""Queue: which batches are in memory, which sink may have which, and what goes when memory is short.

A pure state machine: no I/O, no clock. The numbers of the batches in order:

    … on disk only … | start … window … committed | … unwritten … last
                                             visible ↑ (beyond committed only while the disk fails)

The window is the newest part of the queue. Sinks that keep up take from it, so that they share batches and
their encodings; a sink whose `next` lies before `start` is fed from disk by the owner, through `offer`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from agent.spool.place import Entry, Place, Slot, Tally


class Queue:
    """The state. `memory_max_bytes` bounds what is held; a request's worth per sink may come on top."""

    def __init__(self, places: Iterable[Place], *, last_seq: int, memory_max_bytes: int) -> None:
        self.places: Mapping[str, Place] = {place.name: place for place in places}
        self.memory_max_bytes = memory_max_bytes
        self.last = self.visible = self.committed = last_seq
        self.start = last_seq + 1
        self.held: dict[int, Slot] = {}
        self.held_bytes = 0
        self.unwritten: deque[Slot] = deque()
        self.unwritten_bytes = 0
        self._window: dict[int, Slot] = {}
        self._window_bytes = 0
        for place in self.places.values():
            self._catch_up(place)

    @property
    def share_bytes(self) -> int:
        """What one sink may take or read back at once: half of the memory among them."""
        return self.memory_max_bytes // (2 * max(4, len(self.places)))

    def accept(self, slots: Iterable[Slot]) -> None:
        """Append new batches, and number them; nobody sees them yet."""
        for slot in slots:
            slot.seq = self.last = self.last + 1
            self._window[slot.seq] = slot
            self._window_bytes += slot.size
            self._hold(slot)
            self.unwritten.append(slot)
            self.unwritten_bytes += slot.size
            self._hold(slot)
            for place in self.places.values():
                if place.wants(slot.batch.container):
                    place.hidden.add(slot)

    def publish(self, upto: int, now: float) -> None:
        """Let the sinks see the batches up to this number."""
        for place in self.places.values():
            self._catch_up(place)
        for seq in range(self.visible + 1, upto + 1):
            slot = self._window[seq]
            slot.available_at = now
            for place in self.places.values():
                if place.wants(slot.batch.container):
                    place.hidden.remove(slot)
                    place.open.add(slot)
                elif place.next == seq:
                    place.next += 1
        self.visible = max(self.visible, upto)
        self._trim()

    def needed(self) -> list[Slot]:
        """The unwritten batches that some sink still needs, in order."""
        return [slot for slot in self.unwritten if slot.holds > 1]

    def written(self, upto: int) -> None:
        """The disk knows the batches up to this number."""
        self.committed = max(self.committed, upto)
        while self.unwritten and self.unwritten[0].seq <= upto:
            self._forget_unwritten(self.unwritten.popleft())
        self.evict()

    def purge(self) -> None:
        """Forget the unwritten batches that every sink has done."""
        kept = self.needed()
        for slot in self.unwritten:
            if slot.holds == 1:
                self._forget_unwritten(slot)
        self.unwritten = deque(kept)

    def first_here(self, place: Place) -> Slot | None:
        """The oldest that may be taken now, if it is in memory."""
        if place.ready:
            return next(iter(place.ready.values()))
        return self._window.get(place.next) if place.next <= self.visible else None

    def first_waiting(self, place: Place) -> Slot | None:
        """The next for it in the window, seen or not; None also when that is on disk only."""
        if place.next < self.start:
            return None
        slots = (self._window[seq] for seq in range(place.next, self.last + 1))
        return next((slot for slot in slots if place.wants(slot.batch.container)), None)

    def behind(self, place: Place) -> bool:
        """Whether its next is on disk only."""
        return place.next < self.start and place.next <= self.visible

    def take(self, place: Place, *, records: int, bytes: int) -> list[Entry]:
        """The next entries in memory, until they reach a bound or the sink's share of the memory."""
        taken: list[Slot] = []
        total, size = Tally(), 0
        for slot in self._following(place):
            taken.append(slot)
            total.add(slot)
            size += slot.size
            if total.records >= records or total.bytes >= bytes or size >= self.share_bytes:
                break
        for slot in taken:
            if place.ready.pop(slot.seq, None) is None:
                place.next = slot.seq + 1
                self._hold(slot)
            place.taken[slot.seq] = slot
            place.open.remove(slot)
            place.busy.add(slot)
        self._advance(place)
        self._trim()
        return [slot.entry for slot in taken]

    def enough(self, place: Place, *, records: int, bytes: int) -> bool:
        """Whether what is ready, with the window if that follows, reaches a bound."""
        held_records = sum(slot.records for slot in place.ready.values())
        held_bytes = sum(slot.bytes for slot in place.ready.values())
        return held_records >= records or held_bytes >= bytes

    def offer(self, place: Place, slots: Sequence[Slot], scanned: int) -> None:
        """What was read back from disk for it; `scanned`: up to which number was looked."""
        for slot in slots:
            shared = self.held.get(slot.seq, slot)
            place.ready[slot.seq] = shared
            self._hold(shared)
        place.next = scanned + 1
        if not place.ready and place.next > self.visible:
            place.open = Tally()
        self._advance(place)
        self._trim()
        self.evict()

    def done(self, place: Place, seqs: Sequence[int]) -> None:
        """The sink needs these no more. Their size is taken anew: encodings may have been added."""
        for slot in place.finish(seqs):
            self._resize(slot)
            self._release(slot)
        self._catch_up(place)
        self._trim()
        self.evict()

    def skip(self, place: Place, upto: int, *, records: int, bytes: int) -> None:
        """The sink loses what it has not taken up to this number: so many records and message bytes."""
        for seq in [seq for seq in place.ready if seq <= upto]:
            self._release(place.ready.pop(seq))
        place.open.records -= records
        place.open.bytes -= bytes
        place.next = max(place.next, upto + 1)
        self._catch_up(place)
        self._advance(place)
        self._trim()

    def oldest_in_window(self) -> Slot | None:
        """The first batch that is not yet taken by every sink; None when there is none."""
        return self._window.get(self.start)

    def undone(self, place: Place) -> list[Slot]:
        """All in memory that the sink has not done, in order."""
        return [*place.taken.values(), *self._following(place)]

    def passed(self) -> int:
        """Every sink has done all up to this number."""
        return min((place.first_undone for place in self.places.values()), default=self.visible + 1) - 1

    def evict(self) -> None:
        """Keep to the bound: the oldest in the window go, if the disk has them. A quarter always stays."""
        floor = self.memory_max_bytes // 4
        while (
            self.held_bytes > self.memory_max_bytes
            and self._window_bytes > floor
            and self.start <= min(self.committed, self.visible)
        ):
            for place in self.places.values():
                if place.next == self.start:
                    place.oldest_ns = self._window[self.start].span_ns[0]
            self._drop_first()

    def relist(self) -> dict[str, Tally]:
        """The disk has lost what it had: all that is in memory is unwritten again.

        Returns what each sink has lost: what was neither in memory nor done.
        """
        lost: dict[str, Tally] = {}
        for place in self.places.values():
            if self.behind(place):
                here = [slot for slot in self._window.values() if place.wants(slot.batch.container)]
                here = [slot for slot in here if slot.seq <= self.visible] + list(place.ready.values())
                kept = Tally(sum(slot.records for slot in here), sum(slot.bytes for slot in here))
                lost[place.name] = Tally(place.open.records - kept.records, place.open.bytes - kept.bytes)
                place.open, place.next = kept, self.start
                self._advance(place)
        self._trim()
        for slot in self.unwritten:
            self._release(slot)
        self.unwritten = deque(self.held[seq] for seq in sorted(self.held))
        for slot in self.unwritten:
            self._hold(slot)
        self.unwritten_bytes = sum(slot.size for slot in self.unwritten)
        return lost

    def _following(self, place: Place) -> Iterable[Slot]:
        yield from place.ready.values()
        if place.next < self.start:
            return
        for seq in range(place.next, self.visible + 1):
            slot = self._window[seq]
            if place.wants(slot.batch.container):
                yield slot

    def _catch_up(self, place: Place) -> None:
        """With nothing open, what lies on disk is for others: it need not be read."""
        if place.next < self.start and not place.open.records:
            place.next = self.visible + 1

    def _advance(self, place: Place) -> None:
        while self.start <= place.next <= self.visible:
            if place.wants(self._window[place.next].batch.container):
                break
            place.next += 1

    def _trim(self) -> None:
        """Let go of the window's oldest that every sink has looked at."""
        upto = min((place.next for place in self.places.values()), default=self.visible + 1)
        while self.start < upto and self.start <= self.visible:
            self._drop_first()

    def _drop_first(self) -> None:
        slot = self._window.pop(self.start)
        self._window_bytes -= slot.size
        self.start += 1
        self._release(slot)

    def _forget_unwritten(self, slot: Slot) -> None:
        self.unwritten_bytes -= slot.size
        self._release(slot)

    def _resize(self, slot: Slot) -> None:
        grown = slot.measure() - slot.size
        if grown:
            slot.size += grown
            self.held_bytes += grown
            if slot.seq in self._window:
                self._window_bytes += grown
            if slot.seq > self.committed and self.unwritten and slot.seq >= self.unwritten[0].seq:
                self.unwritten_bytes += grown

    def _hold(self, slot: Slot) -> None:
        if not slot.holds:
            self.held[slot.seq] = slot
            self.held_bytes += slot.size
        slot.holds += 1

    def _release(self, slot: Slot) -> None:
        slot.holds -= 1
        if not slot.holds:
            del self.held[slot.seq]
            self.held_bytes -= slot.size
