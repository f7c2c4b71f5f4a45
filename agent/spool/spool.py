"""Spool: what the pipeline puts batches into, and sinks read them from. See the package for what must hold."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agent.batch import Batch
from agent.errors import SpoolError
from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.spool.directory import claimed
from agent.spool.disk import Disk
from agent.spool.memory import Memory
from agent.spool.place import Place, Slot, Tally
from agent.spool.queue import Queue
from agent.spool.reader import Reader
from agent.spool.schema import FILE, Damaged, Unwritable
from agent.spool.store import Recovered
from agent.spool.writer import COMMIT_EVERY_S, Writer

log = logging.getLogger(__name__)
NOTHING: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SpoolConfig:
    """Where and how much.

    directory       None: memory mode, no file, no promise across a restart
    commit_every_s  shortest time from one commit to the next while little waits; sinks see what is committed
    """

    directory: Path | None
    memory_max_bytes: int
    spool_max_bytes: int
    commit_every_s: float = COMMIT_EVERY_S


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A sink. `on_full`: `drop_oldest` loses its oldest batches to a full spool, `block` makes `put` wait."""

    name: str
    on_full: str


class Spool:
    """The queue. `async with Spool.open(…)`; everything is used from that event loop.

    cursors  by container id, as last committed
    sealed   nothing more is put
    tap      is told of all that is accepted, at once, and raises nothing; None: nobody is
    """

    def __init__(self, queue: Queue, keeper: Writer | Memory, metrics: Metrics) -> None:
        self.sealed = False
        self.tap: Callable[[Sequence[Batch]], None] | None = None
        self._queue, self._keeper, self._metrics = queue, keeper, metrics
        self._readers = {name: Reader(self, queue, place) for name, place in queue.places.items()}
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        keeper.visible = self._wake

    @classmethod
    def open(
        cls, config: SpoolConfig, subscribers: Sequence[Subscriber], *, metrics: Metrics, losses: Losses
    ) -> AbstractAsyncContextManager[Spool]:
        """Open or begin the spool in the directory, for these sinks; leaving commits what was put.

        Entering raises SpoolError: the directory cannot be used, another agent uses it, or its file is of a
        newer version. A damaged file is set aside.
        """
        if config.directory is None:
            return _in_memory(config, subscribers, metrics, losses)
        return _on_disk(config, config.directory, subscribers, metrics, losses)

    @property
    def cursors(self) -> Mapping[str, bytes]:
        return self._keeper.cursors

    @property
    def degraded(self) -> str | None:
        """Why the disk is not being written, for a person; None: it is."""
        return self._keeper.degraded

    async def put(self, batches: Sequence[Batch], cursors: Mapping[str, bytes] = NOTHING) -> None:
        """Append batches, and the cursors that go with them: one transaction, in the order of the calls.

        Returns when accepted; waits while too much is not yet written, or the spool is full and a sink
        blocks. Cancelled, it has put nothing.
        """
        if self.sealed:
            raise RuntimeError("the spool is sealed")
        slots = [Slot.of(0, batch) for batch in batches if len(batch)]
        need = sum(slot.size for slot in slots)
        async with self._turn:
            while not self._keeper.has_room(need):
                self._room.clear()
                await self._room.wait()
            self._queue.accept(slots)
            self._keeper.add(cursors=cursors, facts=NOTHING)
            if self.tap is not None:
                self.tap(batches)
        self._metrics.spooled_records.inc(sum(slot.records for slot in slots))

    async def flush(self) -> None:
        """Return when all that was put is committed, or cannot be: see `degraded`."""
        await self._keeper.settled()

    async def forget(self, container_ids: Collection[str]) -> None:
        """Delete cursors; committed, or `degraded`, when it returns."""
        self._keeper.add(cursors=dict.fromkeys(container_ids), facts=NOTHING)
        await self._keeper.settled()

    def recall(self, key: str) -> bytes | None:
        """What was remembered last under this key."""
        return self._keeper.recall(key)

    async def remember(self, key: str, value: bytes) -> None:
        """Keep a small fact; committed, or `degraded`, when it returns."""
        self._keeper.add(cursors={}, facts={key: value})
        await self._keeper.settled()

    def reader(self, name: str) -> Reader:
        """The end of the spool that is this subscriber's."""
        return self._readers[name]

    def seal(self) -> None:
        """Nothing more is put: readers are given what is left, and end."""
        self.sealed = True
        self._wake()

    def moved(self) -> None:
        """A reader's position has changed."""
        self._keeper.moved()

    async def settled(self) -> None:
        """Return when all up to now is committed, or cannot be."""
        await self._keeper.settled()

    async def read_back(self, place: Place, *, records: int, bytes: int) -> None:
        """Bring the next piece of what a sink lags behind into memory."""
        await self._keeper.read_back(place, records=records, bytes=bytes)

    def _wake(self) -> None:
        self._room.set()
        for reader in self._readers.values():
            reader.wake(always=self.sealed)


@contextlib.asynccontextmanager
async def _in_memory(
    config: SpoolConfig, subscribers: Sequence[Subscriber], metrics: Metrics, losses: Losses
) -> AsyncIterator[Spool]:
    places = [Place(each.name, each.on_full, 1) for each in subscribers]
    queue = Queue(places, last_seq=0, memory_max_bytes=config.memory_max_bytes)
    memory = Memory(queue, metrics=metrics, losses=losses)
    try:
        yield Spool(queue, memory, metrics)
    finally:
        memory.close()


@contextlib.asynccontextmanager
async def _on_disk(
    config: SpoolConfig, directory: Path, subscribers: Sequence[Subscriber], metrics: Metrics, losses: Losses
) -> AsyncIterator[Spool]:
    with claimed(directory):
        disk = Disk(directory / FILE)
        try:
            recovered, places = await _recover(disk, subscribers, losses)
            queue = Queue(places, last_seq=recovered.last_seq, memory_max_bytes=config.memory_max_bytes)
            writer = Writer(
                disk,
                queue,
                recovered,
                config.spool_max_bytes,
                commit_every_s=config.commit_every_s,
                metrics=metrics,
                losses=losses,
            )
            async with _running(writer):
                yield Spool(queue, writer, metrics)
        finally:
            await disk.close()


async def _recover(
    disk: Disk, subscribers: Sequence[Subscriber], losses: Losses
) -> tuple[Recovered, list[Place]]:
    """Open the file, and find each sink's place in it; what is lost with it, or with a sink, is entered."""
    now_ns = time.time_ns()
    names = [each.name for each in subscribers]
    try:
        try:
            recovered = await disk.open(names, now_ns)
            places = [await _place(disk, each, recovered) for each in subscribers]
        except Damaged as damage:
            aside = await disk.begin_anew(names, now_ns)
            log.error("the spool was damaged (%s): set aside as %s, and a new one begun", damage, aside)
            losses.record(
                Cause.UNREADABLE,
                container="*",
                now=time.monotonic(),
                first_ns=min(aside.stat().st_mtime_ns, now_ns),
                last_ns=now_ns,
                why=f"what waited for a sink then, and what was written until now; see {aside.name}",
            )
            recovered = await disk.open(names, now_ns)
            places = [await _place(disk, each, recovered) for each in subscribers]
    except (Damaged, Unwritable) as error:
        raise SpoolError(
            f"the spool {disk.path} cannot be opened ({error}): make room, or mend the disk"
        ) from error
    for name in recovered.added if recovered.last_seq else ():
        log.info("sink %s is new: it is sent what comes from now on", name)
    for name in recovered.returned:
        log.info("sink %s is back: it goes on where it was, with what is still kept", name)
    for name, position in recovered.removed.items():
        log.info("sink %s is gone: nothing is kept for it; its position is, for 7 days", name)
        waiting = await disk.backlog(name, position.seq, position.beyond)
        if waiting.records:
            losses.record(
                Cause.SINK_REMOVED,
                container="*",
                now=time.monotonic(),
                first_ns=waiting.oldest_ns or now_ns,
                last_ns=waiting.newest_ns or now_ns,
                records=waiting.records,
                sink=name,
            )
    return recovered, places


async def _place(disk: Disk, subscriber: Subscriber, recovered: Recovered) -> Place:
    position = recovered.positions[subscriber.name]
    waiting = await disk.backlog(subscriber.name, position.seq, position.beyond)
    return Place(
        subscriber.name,
        subscriber.on_full,
        position.seq + 1,
        position.checkpoint,
        open=Tally(waiting.records, waiting.bytes),
        skip=position.beyond,
        oldest_ns=waiting.oldest_ns,
    )


@contextlib.asynccontextmanager
async def _running(writer: Writer) -> AsyncIterator[None]:
    """Run the writer meanwhile. What the body raises passes unwrapped, once all is committed."""
    group = asyncio.TaskGroup()
    await group.__aenter__()
    group.create_task(writer.run(), name="spool")
    try:
        yield
    finally:
        writer.close()
        await group.__aexit__(None, None, None)
