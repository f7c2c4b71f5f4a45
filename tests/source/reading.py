"""A reader at work, and what it handed on: what tests of `LogsReader` look at.

Place: stands in for spool and discovery. Like a spool it keeps batches and cursor together, so that a reader
that is killed goes on from what was kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.batch import Batch
from agent.batch import Container as Description
from agent.engine.client import EngineClient
from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.source.attach import Attaching, AttachReader
from agent.source.cursor import Cursor
from agent.source.flow import Room
from agent.source.logs import LogsReader
from agent.source.reader import Reader
from agent.source.reading import Surroundings
from agent.source.settled import SettledReader
from agent.source.watchdog import Watchdog

DEADLINE_S = 20.0
END_S = 10.0


@dataclass(slots=True)
class Loss:
    """A loss as it was entered."""

    cause: Cause
    first_ns: int
    last_ns: int


class Book(Losses):
    """The book of losses, of which each entry is kept."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics)
        self.entries: list[Loss] = []

    def record(  # the rest goes through as it is
        self, cause: Cause, *, first_ns: int, last_ns: int, **rest: object
    ) -> None:
        self.entries.append(Loss(cause, first_ns, last_ns))
        super().record(cause, first_ns=first_ns, last_ns=last_ns, **rest)  # type: ignore[arg-type]


@dataclass(slots=True)
class Kept:
    """What was handed on, and the cursor that came with it."""

    batches: list[Batch] = field(default_factory=list)
    cursors: dict[str, bytes] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def hand_on(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        self.batches += batches
        self.cursors |= cursors
        self.changed.set()

    def lines(self, stream: str = "stdout") -> list[bytes]:
        return [m for batch in self.batches if batch.stream.value == stream for m in batch.messages]

    def ids(self) -> list[bytes]:
        return [text for batch in self.batches for text in batch.ids()]


class Clocked(Protocol):
    """An Engine, simulated or not, as far as its time goes: ns since the epoch."""

    def now(self) -> int: ...


class Known(Protocol):
    """A container, simulated or not."""

    @property
    def id(self) -> str: ...


class Reading:
    """One container, read, killed and read again. `idle_s` as in `Surroundings`.

    attach  read what it prints live, its log only for what came before
    """

    def __init__(
        self,
        engine: Clocked,
        client: EngineClient,
        container: Known,
        *,
        idle_s: float = 0.2,
        attach: bool = False,
        stall_limit_s: float = 5.0,
        room_bytes: int = 1 << 24,
    ) -> None:
        self.kept = Kept()
        self._attach = attach
        self.watchdog = Watchdog(stall_limit_s)
        self.room = Room(room_bytes)
        self.metrics = Metrics()
        self.losses = Book(self.metrics)
        self.container = container
        self.client = client
        self._around = Surroundings(
            client=client,
            hand_on=self.kept.hand_on,
            metrics=self.metrics,
            losses=self.losses,
            max_line_bytes=1 << 20,
            now=time.monotonic,
            clock=engine.now,
            idle_s=idle_s,
        )

    def hand_on_to(self, kept: Kept) -> None:
        """From now on: what was kept before is kept there too."""
        kept.batches, kept.cursors = self.kept.batches, self.kept.cursors
        self.kept, self._around = kept, replace(self._around, hand_on=kept.hand_on)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Reader]:
        """A reader that begins where the last one's batches ended; killed at the end."""
        reader = await self.reader()
        async with asyncio.timeout(DEADLINE_S), self.watchdog.beating(), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reader.run(), name="reader")
            yield reader
            task.cancel()

    @contextlib.asynccontextmanager
    async def to_its_end(self) -> AsyncIterator[None]:
        """A reader that ends as its container does. It takes its first step when the block first waits."""
        reader = await self.reader()
        async with asyncio.timeout(END_S), self.watchdog.beating(), asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.run(), name="reader")
            yield

    async def reader(self) -> Reader:
        facts = await self.client.inspect(self.container.id)
        saved = self.kept.cursors.get(facts.id)
        description = Description(facts.id, facts.name, facts.image, facts.name, "host")
        cursor = Cursor.from_bytes(saved) if saved else Cursor()
        if self._attach:
            attaching = Attaching(self.watchdog, self.room)
            return AttachReader(facts, description, cursor, self._around, attaching)
        logs = LogsReader if self.client.version.follow_is_whole else SettledReader
        return logs(facts, description, cursor, self._around)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was handed on is so."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self.kept.changed.clear()
                await self.kept.changed.wait()

    async def lines(self, count: int, stream: str = "stdout") -> list[bytes]:
        """The lines of a stream, once so many are there."""
        await self.until(lambda: len(self.kept.lines(stream)) >= count)
        return self.kept.lines(stream)

    def count(self, metric: str) -> float:
        """A counter's value over all labels."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"dockferry_{metric}_total"
        )
