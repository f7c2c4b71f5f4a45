"""What a full queue lets go of: the oldest batches of the sinks that lag and may lose them.

A sink with `block` holds all that it has not done; so do the entries a sink has taken, whatever it may lose:
they are under way, and it can still deliver them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from agent.losses import Cause, Losses
from agent.spool.place import Lost, Place, Range, Slot
from agent.spool.queue import Queue
from agent.spool.shelf import Waiting

DROP_OLDEST, BLOCK = "drop_oldest", "block"


def drop_rows(queue: Queue, rows: Sequence[Waiting]) -> tuple[list[Lost], list[Range]]:
    """Give up these rows, the oldest on disk. Returns who lost what, and which rows may be deleted."""
    held = [place.first_undone for place in queue.places.values() if place.on_full == BLOCK]
    limit = min(held, default=math.inf)
    rows = [row for row in rows if row.seq < limit]
    if not rows:
        return [], []
    upto = rows[-1].seq
    lost: list[Lost] = []
    for place in queue.places.values():
        if place.on_full == DROP_OLDEST:
            mine = [row for row in rows if _needs(place, row)]
            lost += [row.lost(place.name) for row in mine]
            queue.skip(place, upto, records=sum(r.records for r in mine), bytes=sum(r.bytes for r in mine))
    kept = {seq for place in queue.places.values() for seq in place.taken if seq <= upto}
    return merged(lost), gaps(sorted(kept), rows[0].seq, upto)


def make_room(queue: Queue, need: int) -> tuple[bool, list[Lost]]:
    """Without a disk: whether `need` bytes more may be held, and what was lost so that they may."""
    lost: list[Lost] = []
    while queue.held_bytes and queue.held_bytes + need > queue.memory_max_bytes:
        slot = queue.oldest_in_window()
        if slot is None:
            busy = [place for place in queue.places.values() if place.taken or place.ready]
            return all(place.on_full != BLOCK for place in busy), merged(lost)
        behind = [place for place in queue.places.values() if place.next <= slot.seq]
        waiting = [place for place in behind if place.wants(slot.batch.container)]
        if any(place.on_full == BLOCK for place in waiting):
            return False, merged(lost)
        for place in waiting:
            lost.append(of_slot(place, slot))
            queue.skip(place, slot.seq, records=slot.records, bytes=slot.bytes)
    return True, merged(lost)


def left(queue: Queue) -> list[Lost]:
    """All that is not done, as losses: for the end of a queue that has no disk."""
    return merged([of_slot(place, slot) for place in queue.places.values() for slot in queue.undone(place)])


def of_slot(place: Place, slot: Slot) -> Lost:
    """The entry as a loss of this sink."""
    return Lost(place.name, slot.batch.container.name, slot.records, *slot.span_ns)


def record(losses: Losses, cause: Cause, lost: list[Lost], why: str = "") -> None:
    """Enter losses in the book."""
    for part in lost:
        losses.record(
            cause,
            container=part.container,
            now=time.monotonic(),
            first_ns=part.first_ns,
            last_ns=part.last_ns,
            records=part.records,
            sink=part.sink,
            why=why,
        )


def merged(lost: Iterable[Lost]) -> list[Lost]:
    """One loss for each sink and container."""
    whole: dict[tuple[str, str], Lost] = {}
    for part in lost:
        key = part.sink, part.container
        known = whole.get(key, part)
        whole[key] = Lost(
            *key,
            part.records if known is part else known.records + part.records,
            min(known.first_ns, part.first_ns),
            max(known.last_ns, part.last_ns),
        )
    return list(whole.values())


def gaps(kept: Sequence[int], first: int, last: int) -> list[Range]:
    """The ranges between `first` and `last`, ends included, that hold none of `kept` (sorted)."""
    found: list[Range] = []
    for seq in [*kept, last + 1]:
        if seq > first:
            found.append((first, seq - 1))
        first = max(first, seq + 1)
    return found


def _needs(place: Place, row: Waiting) -> bool:
    if row.seq in place.ready:
        return True
    skipped = any(first <= row.seq <= last for first, last in place.skip)
    return row.seq >= place.next and place.wants(row.container) and not skipped
