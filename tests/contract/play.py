"""A sink run by the real runner, on a spool in memory and dead letters on disk, towards a stage's receiver.

Only the waiting is not real: seconds pass as milliseconds, and how long it would have waited is noted.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson

from agent.batch import Batch
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import MiB
from agent.sinks.base import Sink
from agent.sinks.letterbox import DeadLetters
from agent.sinks.runner import Runner
from agent.spool import Spool, SpoolConfig, Subscriber
from tests.contract.stage import Stage
from tests.receivers.sent import forget

DEADLINE_S = 30.0
#: A request goes out with what there is.
AT_ONCE = "batch_age=1ms"


class Play:
    """A sink under way. `slept`: the seconds it wanted to wait, each time."""

    def __init__(self, stage: Stage, sink: Sink[Any], spool: Spool, metrics: Metrics) -> None:
        self.slept: list[float] = []
        self.sink = sink
        self._now = 1_000.0
        self._spool = spool
        self._metrics = metrics
        self._box = DeadLetters(stage.directory / "dead-letter", "it")
        self.runner = Runner(
            sink,
            spool.reader("it"),
            metrics=metrics,
            losses=Losses(metrics),
            dead_letters=self._box,
            now=lambda: self._now,
            sleep=self._sleep,
        )

    async def put(self, batches: Sequence[Batch]) -> None:
        """Give it these to deliver."""
        await self._spool.put(batches)

    async def settled(self) -> None:
        """Wait until all it was given is delivered or a dead letter."""
        await self.until(lambda: self._spool.reader("it").lag().records == 0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds. Raises TimeoutError at the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - no event tells what is waited for
                await asyncio.sleep(0.002)

    async def outcome(self, kind: str) -> None:
        """Wait until a request has come to this ("retry", "misconfigured")."""
        await self.until(lambda: self.requests(kind) > 0)

    def requests(self, kind: str) -> int:
        """How many requests came to this."""
        return int(self.counted("requests_total", outcome=kind))

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 where it was never counted."""
        return self._metrics.registry.get_sample_value(f"dockferry_{name}", {"sink": "it", **labels}) or 0.0

    @property
    def dead(self) -> list[tuple[bytes, str]]:
        """The dead letters: message and reason."""
        assert self._box.path is not None
        lines = self._box.path.read_bytes().splitlines() if self._box.path.exists() else []
        return [_letter(orjson.loads(line)) for line in lines]

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
        await asyncio.sleep(min(0.01, seconds / 1000))


def _letter(line: dict[str, Any]) -> tuple[bytes, str]:
    record = line["batch"]
    coded = record.get("message_base64")
    return (record["message"].encode() if coded is None else base64.b64decode(coded)), line["why"]


@contextlib.asynccontextmanager
async def playing(stage: Stage, more: str = AT_ONCE) -> AsyncIterator[Play]:
    """The receiver stands and the sink, with `more` options, runs."""
    metrics = Metrics()
    async with stage.standing():
        sink = stage.sink(more)
        async with (
            Spool.open(
                SpoolConfig(None, 64 * MiB, 64 * MiB),
                [Subscriber("it", "block")],
                metrics=metrics,
                losses=Losses(metrics),
            ) as spool,
            asyncio.TaskGroup() as group,
        ):
            play = Play(stage, sink, spool, metrics)
            running = group.create_task(play.runner.run())
            yield play
            running.cancel()


@contextlib.asynccontextmanager
async def opened(sink: Sink[Any]) -> AsyncIterator[Sink[Any]]:
    """The sink alone, without its runner."""
    await sink.open(None, forget)
    try:
        yield sink
    finally:
        await sink.close()
