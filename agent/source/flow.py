"""What came from an attached connection and has not been taken yet.

The connection is read whatever its reader does, as long as there is room: a container must not wait. When there is
none, it is held, and after the stall limit cut off (`watchdog`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable

from agent.engine.client import Attached
from agent.errors import EngineError
from agent.source.frames import FrameError
from agent.source.lines import Records
from agent.source.live import LiveLines

#: What one connection may always have waiting.
_OWN_BYTES = 64 << 10
_LINE_OVERHEAD_BYTES = 160


class Room:
    """How many bytes may wait to be taken, over all connections."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.waiting = 0
        self._freed = asyncio.Event()

    def free(self, count: int) -> None:
        self.waiting -= count
        self._freed.set()

    async def freed(self) -> None:
        """Wait until something was taken."""
        self._freed.clear()
        await self._freed.wait()


class Flow:
    """`fill` in a task of its own; `take` what came, and `release` it.

    ended  nothing more will come: the container ended, or the connection
    error  why, if it was the connection, or what it brought
    stalled  it was cut off, since nobody took what came
    """

    def __init__(self, attached: Attached, lines: LiveLines, room: Room, clock: Callable[[], int]) -> None:
        self.ended = False
        self.error: Exception | None = None
        self.stalled = False
        self._held_since: float | None = None
        self._body: AsyncIterator[bytes] = attached.body
        self._socket = attached.socket
        self._lines = lines
        self._room = room
        self._clock = clock
        self._waiting: list[Records] = []
        self._size = 0
        self._taken = 0
        self._came = asyncio.Event()

    @property
    def held_since(self) -> float | None:
        """The monotonic time since which the connection is not read; None: it is."""
        return self._held_since

    @property
    def crowded(self) -> bool:
        """Whether half of the room is taken."""
        return self._room.waiting > self._room.limit_bytes // 2

    @property
    def fileno(self) -> int:
        """The connection's descriptor; -1 if it is closed."""
        return self._socket.fileno() if self._socket is not None else -1

    def cut(self) -> None:
        """Shut the connection down: what waits may still be taken."""
        self.stalled = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it has ended
                self._socket.shutdown(socket.SHUT_RDWR)

    async def fill(self) -> None:
        """Read to the end."""
        try:
            async for chunk in self._body:
                self._add(self._lines.feed(chunk, self._clock()))
                while self._size > _OWN_BYTES and self._room.waiting > self._room.limit_bytes:
                    if self._held_since is None:
                        self._held_since = time.monotonic()
                    await self._room.freed()
                self._held_since = None
        except FrameError as error:
            self._add(self._lines.read(error.frames, self._clock()))
            self.error = error
        except EngineError as error:
            self.error = error
        finally:
            self.ended = True
            self._came.set()

    def _add(self, records: Records) -> None:
        if records.messages:
            self._waiting.append(records)
            size = sum(map(len, records.messages)) + len(records) * _LINE_OVERHEAD_BYTES
            self._size += size
            self._room.waiting += size
            self._came.set()

    def take(self) -> Records:
        """All that came since; it keeps its room until `release`."""
        waiting, self._waiting = self._waiting, []
        if not self.ended:
            self._came.clear()
        if not waiting:
            return Records()
        first, *more = waiting
        for records in more:
            first.extend(records)
        self._taken = self._size
        return first

    def release(self) -> None:
        """All that was taken is safe, or nobody wants it."""
        self._room.free(self._taken)
        self._size -= self._taken
        self._taken = 0

    def abandon(self) -> None:
        """Nobody will take what waits."""
        self._room.free(self._size)
        self._waiting, self._size, self._taken = [], 0, 0

    def finish(self) -> Records:
        """The line without newline that a process left that has ended."""
        return self._lines.finish(self._clock())

    async def came(self, within_s: float) -> bool:
        """Wait until something came, or the end, at most so long; whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._came.wait()
        return self._came.is_set()
