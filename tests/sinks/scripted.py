"""A sink whose receiver answers by script, a feed like the spool's, and a clock that nobody waits for.

All three are strict: they fail the test when they are used in a way the real ones forbid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.batch import Batch, Container, Stream
from agent.losses import Losses
from agent.metrics import Metrics
from agent.sinks.base import Delivered, Limits, Outcome, Partial, Sink, SinkOptions, Target
from agent.sinks.health import SinkHealth
from agent.sinks.letterbox import DeadLetters, Dropped, Refusal
from agent.sinks.runner import Runner
from agent.spool import Entry, Lag

WEB = Container(id="a" * 64, name="web", image="nginx", tag="web", host="node-1")
DB = Container(id="b" * 64, name="db", image="postgres", tag="db", host="node-1")

Judge = Callable[[Sequence[bytes]], Outcome]


def batch(*messages: bytes, container: Container = WEB, first_ns: int = 1_000) -> Batch:
    """Messages as a batch; a nanosecond between them."""
    stamps = range(first_ns, first_ns + len(messages))
    return Batch(container, Stream.STDOUT, list(stamps), list(messages))


def numbered(count: int, *, each: int = 1) -> list[Batch]:
    """The messages b"0" to b"<count - 1>", `each` to a batch."""
    words = [str(number).encode() for number in range(count)]
    return [batch(*words[start : start + each], first_ns=1_000 + start) for start in range(0, count, each)]


def always(outcome: Outcome) -> Judge:
    return lambda _: outcome


def script(*outcomes: Outcome) -> Judge:
    """These answers, one a request, and Delivered ever after."""
    left = list(outcomes)
    return lambda _: left.pop(0) if left else Delivered()


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class ScriptedSink(Sink[SinkOptions]):
    """Keeps every request, and what it said it delivered."""

    def __init__(
        self,
        judge: Judge = always(Delivered()),  # noqa: B008 - it holds no state
        *,
        probes: Sequence[Outcome] = (),
        limits: Limits | None = None,
        openings: Sequence[Exception] = (),
        **options: object,
    ) -> None:
        values: dict[str, Any] = {"batch_age": 0.0} | options
        super().__init__(Target("fake", "fake", "", "", None, ""), SinkOptions(**values))
        self._judge = judge
        self._probes = list(probes)
        self._openings = list(openings)
        if limits is not None:
            self.limits = limits  # type: ignore[misc] # a class of its own for each would say less
        self.requests: list[list[bytes]] = []
        self.delivered: list[bytes] = []
        self.probed = 0
        self.opened = False
        self.given: bytes | None = None
        self.save: Callable[[bytes], Awaitable[None]] | None = None
        self.under_way = 0
        self.most_under_way = 0

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        assert not self.opened
        if self._openings:
            raise self._openings.pop(0)
        self.given, self.save, self.opened = checkpoint, save, True

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        assert self.opened
        assert all(len(each) for each in batches)
        rows = [message for each in batches for message in each.messages]
        assert rows
        self.requests.append(rows)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            outcome = self._judge(rows)
        finally:
            self.under_way -= 1
        if isinstance(outcome, Delivered):
            self.delivered += rows
        elif isinstance(outcome, Partial):
            other = {*outcome.retry, *outcome.refused}
            self.delivered += [message for row, message in enumerate(rows) if row not in other]
        return outcome

    async def probe(self) -> Outcome:
        assert self.opened
        self.probed += 1
        await asyncio.sleep(0)
        return self._probes.pop(0) if self._probes else Delivered()

    def checkpoint(self) -> bytes | None:
        return str(len(self.delivered)).encode()

    async def close(self) -> None:
        assert self.opened
        self.opened = False


class Feed:
    """The spool's reader of one sink, over a list."""

    def __init__(self, batches: Iterable[Batch] = (), *, sealed: bool = True) -> None:
        self._waiting = [Entry(seq, each) for seq, each in enumerate(batches, start=1)]
        self._taken: dict[int, Entry] = {}
        self._next = len(self._waiting) + 1
        self._sealed = sealed
        self._filling = False
        self._changed = asyncio.Event()
        self.checkpoint: bytes | None = None
        self.acknowledged: list[int] = []
        self.on_done: Callable[[Entry], None] = lambda _: None

    def put(self, each: Batch) -> None:
        assert not self._sealed
        self._waiting.append(Entry(self._next, each))
        self._next += 1
        self._changed.set()

    def seal(self) -> None:
        self._sealed = True
        self._changed.set()

    async def fill(self, *, records: int, bytes: int, age: float) -> Sequence[Entry]:
        assert records >= 1
        assert bytes >= 1
        assert age >= 0
        assert not self._filling
        self._filling = True
        try:
            while not self._waiting and not self._sealed:
                self._changed.clear()
                await self._changed.wait()
            await asyncio.sleep(0)
        finally:
            self._filling = False
        entries: list[Entry] = []
        room_records, room_bytes = records, bytes
        while self._waiting and room_records > 0 and room_bytes > 0:
            entry = self._waiting.pop(0)
            entries.append(entry)
            self._taken[entry.seq] = entry
            room_records -= len(entry.batch)
            room_bytes -= sum(map(len, entry.batch.messages))
        return entries

    def done(self, entries: Iterable[Entry], checkpoint: bytes | None = None) -> None:
        for entry in entries:
            assert self._taken.pop(entry.seq) is entry
            self.acknowledged.append(entry.seq)
            self.on_done(entry)
        self.checkpoint = checkpoint or self.checkpoint

    async def save(self, checkpoint: bytes) -> None:
        self.checkpoint = checkpoint

    def rewind(self) -> None:
        self._waiting = sorted([*self._taken.values(), *self._waiting], key=lambda entry: entry.seq)
        self._taken.clear()

    def lag(self) -> Lag:
        left = [*self._taken.values(), *self._waiting]
        return Lag(
            records=sum(len(entry.batch) for entry in left),
            bytes=sum(len(message) for entry in left for message in entry.batch.messages),
            oldest_ns=min((stamp for entry in left for stamp in entry.batch.timestamps), default=None),
        )

    @property
    def empty(self) -> bool:
        return not (self._waiting or self._taken)


class Box(DeadLetters):
    """Dead letters in a list. `failures`: what the next attempts to write raise."""

    def __init__(self, failures: Sequence[OSError] = ()) -> None:
        super().__init__(Path("/nowhere"), "fake")
        self._failures = list(failures)
        self.kept: list[tuple[bytes, str]] = []

    async def add(self, refusals: Sequence[Refusal]) -> Sequence[Dropped]:
        await asyncio.sleep(0)
        if self._failures:
            raise self._failures.pop(0)
        self.kept += [(message, each.why) for each in refusals for message in each.batch.messages]
        return ()


@dataclass
class Stage:
    """A runner with everything around it. `seen`: its health, each time it began to wait."""

    sink: ScriptedSink
    feed: Feed
    box: DeadLetters = field(default_factory=Box)
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    seen: list[SinkHealth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.losses = Losses(self.metrics)
        self.runner = Runner(
            self.sink,
            self.feed,
            metrics=self.metrics,
            losses=self.losses,
            dead_letters=self.box,
            now=self.clock.now,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.seen.append(self.runner.health)
        await self.clock.sleep(seconds)

    @property
    def kept(self) -> list[tuple[bytes, str]]:
        assert isinstance(self.box, Box)
        return self.box.kept

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 where it was never counted."""
        return self.metrics.registry.get_sample_value(f"dockferry_{name}", {"sink": "fake", **labels}) or 0.0
