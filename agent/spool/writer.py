"""Writer: the one task that commits, groups what is to be committed, and outlives a disk that fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

from agent.errors import SpoolError
from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.spool.disk import Disk
from agent.spool.drop import DROP_OLDEST, drop_rows, record
from agent.spool.place import Lost, Place, Position, Range
from agent.spool.queue import Queue
from agent.spool.schema import Damaged, Unwritable
from agent.spool.store import Changes, Recovered

log = logging.getLogger(__name__)
#: What comes within so long goes into one commit, unless a sink is in a greater hurry.
COMMIT_EVERY_S = 0.1
#: Longest time until a position is saved.
POSITIONS_EVERY_S = 0.25
RETRY_EVERY_S = 1.0
#: So much that waits is written at once; so much at the most waits, since a commit holds it twice.
_URGENT_BYTES, _UNWRITTEN_BYTES = 2 << 20, 8 << 20


class Writer:
    """Commits what the queue has not written, with cursors, facts and positions.

    cursors         as the disk knows them
    degraded        why the disk is not being written; None: it is
    full            nothing may be put: a sink that blocks holds `spool_max_bytes`
    visible         called when sinks may see more, or a `put` may find room
    """

    def __init__(
        self,
        disk: Disk,
        queue: Queue,
        recovered: Recovered,
        spool_max_bytes: int,
        *,
        commit_every_s: float,
        metrics: Metrics,
        losses: Losses,
    ) -> None:
        self.cursors = dict(recovered.cursors)
        self.degraded: str | None = None
        self.full = False
        self.visible: Callable[[], None] = lambda: None
        self._facts = dict(recovered.facts)
        self._disk, self._queue = disk, queue
        self._max_bytes = spool_max_bytes
        self._commit_every_s = commit_every_s
        self._metrics, self._losses = metrics, losses
        self._new_cursors: dict[str, bytes | None] = {}
        self._new_facts: dict[str, bytes] = {}
        self._saved: dict[str, Position] = {}
        self._dropped: list[Range] = []
        self._deleted = 0
        self._begun = self._failed_at = float("-inf")
        self._damage: Damaged | None = None
        self._work, self._urgent, self._closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._asked = self._answered = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def has_room(self, need: int) -> bool:
        """Whether so many bytes more may be unwritten."""
        if self.full:
            return False
        room = self._queue.memory_max_bytes // 2
        if not self.degraded:
            room = min(room // 2, _UNWRITTEN_BYTES)
        if self.degraded and self._queue.unwritten_bytes + need > room:
            self._queue.purge()
        if self._queue.unwritten and self._queue.unwritten_bytes + need > room:
            self._urgent.set()
            return False
        return True

    def add(self, *, cursors: Mapping[str, bytes | None], facts: Mapping[str, bytes]) -> None:
        """To be committed with whatever the queue has now. While degraded, sinks see that at once."""
        self._new_cursors.update(cursors)
        self._new_facts.update(facts)
        self._asked += 1
        self._work.set()
        if self._queue.unwritten_bytes > min(self._queue.memory_max_bytes // 8, _URGENT_BYTES):
            self._urgent.set()
        if self.degraded:
            self._publish()

    def recall(self, key: str) -> bytes | None:
        """The fact as it was remembered last, committed or not."""
        return self._new_facts.get(key, self._facts.get(key))

    def moved(self) -> None:
        """A position has changed."""
        if self._timer is None and not self._work.is_set():
            self._timer = asyncio.get_running_loop().call_later(POSITIONS_EVERY_S, self._work.set)
        if self.degraded:
            self.visible()

    async def settled(self) -> None:
        """Return when all up to now is committed, or cannot be."""
        if self.degraded:
            return
        self._asked += 1
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._asked, answer))
        self._work.set()
        self._urgent.set()
        await answer

    async def read_back(self, place: Place, *, records: int, bytes: int) -> None:
        """Bring the next piece of what a sink lags behind into memory. Raises SpoolError."""
        queue = self._queue
        span = place.next, min(queue.start - 1, queue.committed)
        try:
            piece = await self._disk.read(place, span, records=records, bytes=bytes, size=queue.share_bytes)
        except Damaged as error:
            self._damage = error
            await self.settled()
            if self.degraded:
                raise SpoolError(f"the spool {self._disk.path} is damaged: {error}") from error
            return
        except Unwritable as error:
            raise SpoolError(f"the spool {self._disk.path} cannot be read: {error}") from error
        if place.next != span[0]:
            return  # meanwhile it was moved on: by a full spool, or by another `fill`
        for row, why in piece.unreadable:
            place.open.remove(row)
            record(self._losses, Cause.UNREADABLE, [row.lost(place.name)], why)
        queue.offer(place, piece.slots, piece.scanned)

    def close(self) -> None:
        """Commit what there is and let `run` end."""
        self._closing.set()
        self._urgent.set()
        self._work.set()

    async def run(self) -> None:
        """Commit until closed."""
        while True:
            await self._work.wait()
            await self._linger()
            closing = self._closing.is_set()
            self._clear()
            try:
                await self._commit()
            except Unwritable as error:
                await self._fail(str(error))
            except Damaged as error:
                self._damage = error
                self._work.set()
            if closing and not self._work.is_set():
                return

    async def _linger(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._begun + self._commit_every_s):
                await self._urgent.wait()

    def _clear(self) -> None:
        self._begun = asyncio.get_running_loop().time()
        self._work.clear()
        self._urgent.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _commit(self) -> None:
        if self._damage is not None:
            await self._begin_anew(self._damage)
        asked, changes = self._asked, self._changes()
        self._new_cursors, self._new_facts = {}, {}
        try:
            await self._disk.write(changes)
        except BaseException:
            self._new_cursors = {**changes.cursors, **self._new_cursors}
            self._new_facts = {**changes.facts, **self._new_facts}
            raise
        self._saved.update(changes.positions)
        self._deleted = changes.passed
        self._dropped.clear()
        for container, value in changes.cursors.items():
            if value is None:
                self.cursors.pop(container, None)
            else:
                self.cursors[container] = value
        self._facts.update(changes.facts)
        self._recover()
        self._publish(changes.last_seq)
        self._queue.written(changes.last_seq)
        self._answer(asked)
        await self._keep_bounds()

    def _changes(self) -> Changes:
        queue = self._queue
        positions = {name: place.position(queue.last) for name, place in queue.places.items()}
        passed = min((position.seq for position in positions.values()), default=queue.last)
        delete = [(self._deleted + 1, passed)] if passed > self._deleted else []
        return Changes(
            last_seq=queue.last,
            batches=queue.needed(),
            cursors=self._new_cursors,
            facts=self._new_facts,
            positions={name: place for name, place in positions.items() if self._saved.get(name) != place},
            delete=[*delete, *self._dropped],
            passed=passed,
        )

    async def _fail(self, why: str) -> None:
        """The disk is not being written: go on from memory, and try again after a while."""
        if self.degraded is None:
            self._failed_at = time.monotonic()
            log.warning(
                "the spool %s cannot be written (%s): going on from memory; what is not delivered before the "
                "agent ends is read again from the Engine. Make room, or make it writable",
                self._disk.path,
                why,
            )
        self.degraded = why
        self._metrics.spool_degraded.set(1)
        self._publish()
        self._answer(self._asked)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_EVERY_S):
                await self._closing.wait()
                return
        self._queue.purge()
        await self._disk.reopen()
        self._work.set()
        self._urgent.set()

    def _recover(self) -> None:
        if self.degraded is not None:
            self.degraded = None
            self._metrics.spool_degraded.set(0)
            log.warning("the spool is written again, after %.0f s", time.monotonic() - self._failed_at)

    def _publish(self, upto: int | None = None) -> None:
        now = asyncio.get_running_loop().time()
        self._queue.publish(self._queue.last if upto is None else upto, now)
        self._metrics.spool_bytes.set(self._disk.live_bytes)
        self._metrics.memory_bytes.set(self._queue.held_bytes)
        self.visible()

    def _answer(self, asked: int) -> None:
        self._answered = asked
        while self._waiting and self._waiting[0][0] <= asked:
            _, answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(None)

    async def _keep_bounds(self) -> None:
        """When the file holds too much, let the oldest go, with some to spare so that it is not every time."""
        over = self._disk.live_bytes - self._max_bytes
        may_drop = any(place.on_full == DROP_OLDEST for place in self._queue.places.values())
        if over > 0 and may_drop:
            rows = await self._disk.oldest(over + self._max_bytes // 256)
            lost, self._dropped = drop_rows(self._queue, rows)
            record(self._losses, Cause.SPOOL_FULL, lost)
            if self._dropped:
                self._work.set()
                self._urgent.set()
        self.full = over > 0 and not self._dropped
        self.visible()

    async def _begin_anew(self, damage: Damaged) -> None:
        """Set the damaged file aside. What is in memory is written to the new one; the rest is lost."""
        oldest = {name: place.oldest_ns for name, place in self._queue.places.items()}
        now_ns = time.time_ns()
        aside = await self._disk.begin_anew(list(self._queue.places), now_ns)
        log.error("the spool was damaged (%s): set aside as %s, and a new one begun", damage, aside)
        self._damage = None
        self._new_cursors = {**self.cursors, **self._new_cursors}
        self._new_facts = {**self._facts, **self._new_facts}
        self._saved.clear()
        self._dropped.clear()
        for name, tally in self._queue.relist().items():
            if tally.records > 0:
                lost = Lost(name, "", tally.records, oldest[name] or now_ns, now_ns)
                record(self._losses, Cause.UNREADABLE, [lost], f"see {aside.name}")
