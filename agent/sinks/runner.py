"""The runner: takes one sink's batches from the spool and sees to it that all of them arrive.

It fills requests, keeps several under way, retries, divides, dead-letters, counts and judges health, so that
a sink has nothing to do but judge. What was not delivered is never acknowledged, wherever it is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from agent.batch import NS, RECORD_OVERHEAD_BYTES, Batch
from agent.errors import SinkError
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import show_duration
from agent.sinks.base import Sink
from agent.sinks.deadletter import DeadLetters
from agent.sinks.delivery import Delivery, batch_records
from agent.sinks.health import Health, SinkHealth
from agent.sinks.narrow import Narrowing
from agent.sinks.pace import Pace
from agent.sinks.parcel import Parcel, cut
from agent.sinks.refusals import Refusals
from agent.spool import Entry, Lag

log = logging.getLogger(__name__)
LAG_EVERY_S = 1.0
CLOSE_LIMIT_S = 2.0


class Feed(Protocol):
    """What a runner needs of its sink's reader of the spool: `agent.spool.Reader`."""

    @property
    def checkpoint(self) -> bytes | None: ...
    async def fill(self, *, records: int, bytes: int, age: float) -> Sequence[Entry]: ...
    def done(self, entries: Iterable[Entry], checkpoint: bytes | None = None) -> None: ...
    async def save(self, checkpoint: bytes) -> None: ...
    def rewind(self) -> None: ...
    def lag(self) -> Lag: ...


class Runner:
    """Runs one sink. `run` may be called again after it was cancelled or raised."""

    def __init__(
        self,
        sink: Sink[Any],
        feed: Feed,
        *,
        metrics: Metrics,
        losses: Losses,
        dead_letters: DeadLetters,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        name = sink.target.name
        self.name = name
        self._sink = sink
        self._feed = feed
        self._pace = Pace(now=now, sleep=sleep)
        self._health = Health(name, metrics.sink_up.labels(name), now)
        self._refusals = Refusals(dead_letters, self._health, metrics=metrics, losses=losses, pace=self._pace)
        self._delivery = Delivery(
            sink,
            metrics=metrics,
            health=self._health,
            refusals=self._refusals,
            settled=self._settle,
            pace=self._pace,
        )
        self._narrow = Narrowing.of(name, sink.options, metrics)
        self._lag_records = metrics.lag_records.labels(name)
        self._lag_bytes = metrics.lag_bytes.labels(name)
        self._lag_seconds = metrics.lag_seconds.labels(name)
        self._filling = asyncio.Lock()
        self._parcels: deque[Parcel] = deque()
        self._unsettled: dict[int, tuple[Entry, int]] = {}

    @property
    def health(self) -> SinkHealth:
        """How the sink is now."""
        return self._health.snapshot

    async def run(self) -> None:
        """Returns when the feed is sealed and all it held is settled.

        What the sink raises, other than SinkError from `open`, comes out in an ExceptionGroup; the next `run`
        begins with what was not settled.
        """
        self._parcels.clear()
        self._unsettled.clear()
        self._health.starting()
        self._feed.rewind()
        await self._open()
        try:
            async with asyncio.TaskGroup() as group:
                lag = group.create_task(self._show_lag(), name=f"{self.name} lag")
                async with asyncio.TaskGroup() as workers:
                    for number in range(self._sink.options.concurrency):
                        workers.create_task(self._work(), name=f"{self.name} {number}")
                lag.cancel()
        finally:
            self._refusals.report(at_once=True)
            await self._close()

    async def _open(self) -> None:
        """Open the sink, for as long as that takes."""
        attempt = 0
        while True:
            problem = await self._try_open()
            if problem is None:
                break
            attempt += 1
            self._health.held(self, problem)
            await self._pace.sleep(self._pace.hold(attempt))
        if attempt:
            self._health.answered(self)
        self._health.opened()

    async def _try_open(self) -> str | None:
        seconds: float = self._sink.options.timeout
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await self._sink.open(self._feed.checkpoint, self._feed.save)
        except SinkError as error:
            return str(error)
        except TimeoutError:
            if not limit.expired():
                raise
            return f"it did not open within {show_duration(seconds)}"
        return None

    async def _close(self) -> None:
        limit = asyncio.timeout(CLOSE_LIMIT_S)
        try:
            async with limit:
                await self._sink.close()
        except TimeoutError:
            if not limit.expired():
                raise
            log.warning("sink %s did not close within %s", self.name, show_duration(CLOSE_LIMIT_S))

    async def _work(self) -> None:
        while (parcel := await self._next()) is not None:
            await self._delivery.deliver(parcel)

    async def _next(self) -> Parcel | None:
        """The next request's records; None when there will be no more."""
        async with self._filling:
            while not self._parcels:
                records, weight = batch_records(self._sink), self._delivery.weight
                entries = await self._fill(records, weight)
                if not entries:
                    return None
                self._parcels.extend(cut(self._take(entries), records=records, weight=weight))
            return self._parcels.popleft()

    async def _fill(self, records: int, weight: int) -> Sequence[Entry]:
        """Entries that mostly fit one request.

        Half of its weight may be messages, the other half what is put around them; and as a fill may exceed
        its bounds by a batch, it is asked for three quarters of them.
        """
        records = min(records, weight // (2 * RECORD_OVERHEAD_BYTES))
        return await self._feed.fill(
            records=max(1, records * 3 // 4),
            bytes=max(1, weight * 3 // 8),
            age=self._sink.options.batch_age,
        )

    def _take(self, entries: Sequence[Entry]) -> list[tuple[int, Batch]]:
        """What there is to deliver of them, by their numbers; where that is nothing, they are done."""
        narrow = self._narrow
        batches = [entry.batch if narrow is None else narrow(entry) for entry in entries]
        self._unsettled.update(
            (entry.seq, (entry, len(batch))) for entry, batch in zip(entries, batches, strict=True)
        )
        empty = [entry for entry, batch in zip(entries, batches, strict=True) if not len(batch)]
        if empty:
            self._done(empty)
        return [(entry.seq, batch) for entry, batch in zip(entries, batches, strict=True) if len(batch)]

    def _settle(self, parcel: Parcel) -> None:
        done = []
        for part in parcel.parts:
            entry, rows = self._unsettled[part.seq]
            rows -= len(part.batch)
            self._unsettled[part.seq] = entry, rows
            if rows == 0:
                done.append(entry)
        if done:
            self._done(done)

    def _done(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            del self._unsettled[entry.seq]
        self._feed.done(entries, self._sink.checkpoint())
        self._measure_lag()

    async def _show_lag(self) -> None:
        """While nothing is delivered, the lag changes all the same."""
        while True:
            self._measure_lag()
            self._refusals.report()
            await asyncio.sleep(LAG_EVERY_S)

    def _measure_lag(self) -> None:
        lag = self._feed.lag()
        self._lag_records.set(lag.records)
        self._lag_bytes.set(lag.bytes)
        self._lag_seconds.set(0 if lag.oldest_ns is None else max(0, time.time_ns() - lag.oldest_ns) / NS)
