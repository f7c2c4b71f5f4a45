"""Reader: one sink's end of the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from agent.spool.place import LAST, Entry, Lag, Place
from agent.spool.queue import Queue


class Owner(Protocol):
    """What a reader asks of its spool."""

    sealed: bool

    async def read_back(self, place: Place, *, records: int, bytes: int) -> None:
        """Bring the next piece into `place.ready` from disk."""

    def moved(self) -> None:
        """A position has changed: to be saved soon."""

    async def settled(self) -> None:
        """Return when everything up to now is saved, or cannot be."""


class Reader:
    """A sink's entries, in order. Made by `Spool.reader`; one `fill` at a time."""

    def __init__(self, owner: Owner, queue: Queue, place: Place) -> None:
        self._owner = owner
        self._queue = queue
        self._place = place
        self._news = asyncio.Event()
        self._bounds = 1, LAST

    @property
    def checkpoint(self) -> bytes | None:
        """What the sink saved last with its position."""
        return self._place.checkpoint

    async def fill(self, *, records: int, bytes: int, age: float) -> Sequence[Entry]:
        """The next entries, oldest first, never part of a batch.

        Returns when together they have that many records or message bytes (one batch may exceed either), or
        fill this sink's share of the memory, or the oldest became available `age` seconds ago. Waits while
        there is none. After `seal` what is left is returned at once, and () when nothing ever comes again.
        Cancelled, it has taken nothing. Raises SpoolError when the disk does not give back what it holds.
        """
        while True:
            await self._gather(records, bytes, age)
            while self._queue.behind(self._place) and not self._queue.enough(
                self._place, records=records, bytes=bytes
            ):
                await self._owner.read_back(self._place, records=records, bytes=bytes)
            if entries := self._queue.take(self._place, records=records, bytes=bytes):
                return entries
            if self._owner.sealed and not self._place.open.records and not self._place.hidden.records:
                return ()

    def done(self, entries: Iterable[Entry], checkpoint: bytes | None = None) -> None:
        """These need not be given again. In any order; saved within half a second.

        checkpoint  None: the last one stays
        """
        if checkpoint is not None:
            self._place.checkpoint = checkpoint
        self._queue.done(self._place, [entry.seq for entry in entries])
        self._owner.moved()

    async def save(self, checkpoint: bytes) -> None:
        """Position and checkpoint are on disk when it returns; while the disk fails it returns without."""
        self._place.checkpoint = checkpoint
        self._owner.moved()
        await self._owner.settled()

    def rewind(self) -> None:
        """All that was taken and is not done will be given again, oldest first."""
        self._place.rewind()
        self.wake(always=True)

    def lag(self) -> Lag:
        """What waits for this sink; what was taken and is not done is part of it."""
        return self._place.lag(self._queue.first_waiting(self._place))

    def wake(self, *, always: bool = False) -> None:
        """Let a waiting `fill` look again, if what it waits for is there."""
        waiting, bounds = self._place.open, self._bounds
        if always or waiting.records >= bounds[0] or waiting.bytes >= bounds[1]:
            self._news.set()

    async def _gather(self, records: int, bytes: int, age: float) -> None:
        """Wait until a `fill` with these bounds has something to return."""
        while True:
            self._news.clear()
            waiting = self._place.open
            if not waiting.records:
                if self._owner.sealed and not self._place.hidden.records:
                    return
                self._bounds = 1, LAST
                await self._news.wait()
                continue
            first = self._queue.first_here(self._place)
            if self._owner.sealed or first is None or waiting.records >= records or waiting.bytes >= bytes:
                return
            self._bounds = records, bytes
            try:
                async with asyncio.timeout_at(first.available_at + age):
                    await self._news.wait()
            except TimeoutError:
                return
