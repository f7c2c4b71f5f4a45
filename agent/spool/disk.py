"""Disk: the file's two sides, each on a thread of its own, so that neither holds up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.spool import schema
from agent.spool.directory import set_aside
from agent.spool.place import Place, Range
from agent.spool.shelf import Piece, Shelf, SinkBacklog, Waiting
from agent.spool.store import Changes, Recovered, Store

T = TypeVar("T")


class Disk:
    """The file. Calls raise Damaged and Unwritable. Close it, also when `open` has failed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store: Store | None = None
        self._shelf = Shelf(path)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="spool-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="spool-read")

    @property
    def live_bytes(self) -> int:
        """Bytes of the rows' bodies."""
        return self._store.live_bytes if self._store else 0

    async def open(self, names: Sequence[str], now_ns: int) -> Recovered:
        """Open or begin the file, for these sinks. Raises SpoolError too."""
        return await self._write(partial(self._open, names, now_ns))

    async def write(self, changes: Changes) -> None:
        """All of it, in one transaction."""
        await self._write(partial(self._apply, changes))

    async def read(self, place: Place, span: Range, *, records: int, bytes: int, size: int) -> Piece:
        """See `Shelf.read`."""
        call = partial(
            self._shelf.read, place.name, span, records=records, bytes=bytes, size=size, skip=place.skip
        )
        return await self._read(call)

    async def oldest(self, amount: int) -> list[Waiting]:
        """The oldest rows that together have this many bytes."""
        return await self._read(partial(self._shelf.oldest, amount))

    async def backlog(self, name: str, position: int, beyond: Sequence[Range]) -> SinkBacklog:
        """What waits for a sink at this position."""
        return await self._read(partial(self._shelf.backlog, name, position, beyond))

    async def reopen(self) -> None:
        """Let go of the file, so that the next write opens it anew: some errors stay with a connection."""
        await self._write(self._close_store)

    async def begin_anew(self, names: Sequence[str], now_ns: int) -> Path:
        """Set a damaged file aside and begin another. Returns where the old one is now."""
        await self._read(self._shelf.close)
        await self._write(self._close_store)
        with schema.mapped_errors():
            aside = await self._write(partial(set_aside, self.path, datetime.now(UTC)))
        await self.open(names, now_ns)
        return aside

    async def close(self) -> None:
        """Let go of the file and the threads."""
        await self._read(self._shelf.close)
        await self._write(self._close_store)
        self._reading.shutdown()
        self._writing.shutdown()

    def _open(self, names: Sequence[str], now_ns: int) -> Recovered:
        self._store = Store(self.path)
        return self._store.recover(names, now_ns)

    def _apply(self, changes: Changes) -> None:
        if self._store is None:
            self._store = Store(self.path)
        self._store.apply(changes)

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    async def _write(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, call)

    async def _read(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, call)
