"""Memory: what takes the writer's part when there is no file. Everything put is seen at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.spool.drop import left, make_room, record
from agent.spool.place import Place
from agent.spool.queue import Queue


class Memory:
    """Keeps nothing. See `Writer` for the names."""

    degraded: str | None = None

    def __init__(self, queue: Queue, *, metrics: Metrics, losses: Losses) -> None:
        self.cursors: dict[str, bytes] = {}
        self.visible: Callable[[], None] = lambda: None
        self._facts: dict[str, bytes] = {}
        self._queue, self._metrics, self._losses = queue, metrics, losses

    def has_room(self, need: int) -> bool:
        """Whether so many bytes may be put. Loses the oldest for it, where sinks may lose them."""
        room, lost = make_room(self._queue, need)
        record(self._losses, Cause.SPOOL_FULL, lost)
        return room

    def add(self, *, cursors: Mapping[str, bytes | None], facts: Mapping[str, bytes]) -> None:
        for container, value in cursors.items():
            if value is None:
                self.cursors.pop(container, None)
            else:
                self.cursors[container] = value
        self._facts.update(facts)
        self._queue.publish(self._queue.last, asyncio.get_running_loop().time())
        self._queue.written(self._queue.last)
        self.moved()

    def recall(self, key: str) -> bytes | None:
        return self._facts.get(key)

    def moved(self) -> None:
        self._metrics.memory_bytes.set(self._queue.held_bytes)
        self.visible()

    async def settled(self) -> None:
        """There is nothing to wait for."""

    async def read_back(self, place: Place, *, records: int, bytes: int) -> None:
        """Nothing is ever behind the window: what leaves it untaken is lost."""

    def close(self) -> None:
        """What no sink has had by now is lost."""
        record(self._losses, Cause.SHUTDOWN, left(self._queue))
