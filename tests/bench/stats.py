"""`python -m tests.bench.stats [--simulated]`: what it costs to know what containers use.

CPU time of one answer: asked for, read, kept, and made a record where that is asked for; CPU time of the Engine for
it; and of one scrape. The agent's part is this process, with nothing else in it but the Engine's events; that of the
Engine is the process at the other end of its socket, less what it uses when nobody asks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import generate_latest

from agent.batch import Batch
from agent.engine.client import EngineClient
from agent.engine.discovery import Discovery
from agent.engine.endpoint import resolve
from agent.engine.own import Traces
from agent.labels import LabelOptions
from agent.metrics import Metrics
from agent.pipeline.describe import describe
from agent.settings import Settings
from agent.stats import StatsReader
from agent.stats.reader import HandOn
from agent.terminal import columns
from tests.bench.engines import Stage, real, simulated
from tests.bench.processes import cpu_seconds

CONTAINERS = 50
#: The shortest there is: the cost of an answer does not depend on it.
INTERVAL_S = 1.0
#: The best of so many rounds counts: others on the machine only add to it.
ROUNDS, INTERVALS, SCRAPES = 4, 5, 5
PATIENCE_S = 60.0
_TITLES: tuple[str, ...] = (
    *("ENGINE", "RECORDS", "CPU PER ANSWER", "OF THE ENGINE"),
    *("SCRAPE, PER CONTAINER", "SERIES", "BYTES"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stats", description=__doc__.splitlines()[0])
    parser.add_argument("--simulated", action="store_true", help="the simulated Engine alone")
    asked = parser.parse_args(argv)
    rows = [_TITLES, *asyncio.run(measure(simulated()))]
    if not asked.simulated:
        rows += asyncio.run(measure(real()))
    print(*columns(rows), sep="\n")


async def measure(opened: contextlib.AbstractAsyncContextManager[Stage]) -> list[tuple[str, ...]]:
    """A line of the table without records, and one with."""
    async with opened as stage:
        await stage.idle(CONTAINERS)
        return [(stage.name, *(await cost(stage, records=records))) for records in (False, True)]


async def cost(stage: Stage, *, records: bool) -> tuple[str, ...]:
    """What each part costs, as it is shown."""
    metrics = Metrics()
    taken: list[Batch] = []

    async def keep(batches: Sequence[Batch], _: Mapping[str, bytes]) -> None:
        taken.extend(batches)

    def answers() -> float:
        return metrics.registry.get_sample_value("dockferry_stats_answers_total", {"outcome": "sample"}) or 0

    engine = _listener(stage.docker_host)
    at_rest_s = await _at_rest(engine)
    async with _reading(stage, metrics, keep if records else None):
        async with asyncio.timeout(PATIENCE_S):
            while answers() < 2 * CONTAINERS:  # noqa: ASYNC110 - limits are known, connections open
                await asyncio.sleep(0.05)
        ours_us, engine_us, scrape_us, text = [], [], [], b""
        for _ in range(ROUNDS):
            before, ours_s, engine_s = answers(), time.process_time(), _used_s(engine)
            await asyncio.sleep(INTERVALS * INTERVAL_S)  # what is measured
            count = answers() - before
            ours_us.append((time.process_time() - ours_s) / count * 1e6)
            engine_us.append((_used_s(engine) - engine_s - at_rest_s) / count * 1e6)
            scrape_s = time.process_time()
            text = b"".join(generate_latest(metrics.registry) for _ in range(SCRAPES))
            scrape_us.append((time.process_time() - scrape_s) / SCRAPES / CONTAINERS * 1e6)
    series = sum(line.startswith((b"container_", b"dockferry_container_")) for line in text.splitlines())
    return (
        "yes" if records else "no",
        *(f"{min(each):.0f} µs" for each in (ours_us, engine_us, scrape_us)),
        f"{series / SCRAPES / CONTAINERS:.0f}",
        f"{sum(len(batch.messages[0]) for batch in taken) / len(taken):.0f}" if taken else "",
    )


@contextlib.asynccontextmanager
async def _reading(stage: Stage, metrics: Metrics, hand_on: HandOn | None) -> AsyncIterator[None]:
    settings = Settings.load({"DOCKER_HOST": stage.docker_host, "DOCKFERRY_INCLUDE": "name=idle-*"})
    async with (
        EngineClient(resolve(settings.docker), docker=settings.docker) as client,
        asyncio.TaskGroup() as tasks,
    ):
        stats = StatsReader(
            client,
            interval_s=INTERVAL_S,
            describe=lambda facts: describe(facts, LabelOptions(), settings, host="node", selects={}),
            metrics=metrics,
            hand_on=hand_on,
        )
        discovery = Discovery(client, settings=settings, own=Traces(), metrics=metrics)
        both = [tasks.create_task(discovery.run(stats.apply)), tasks.create_task(stats.run())]
        yield
        for task in both:
            task.cancel()


async def _at_rest(engine: int) -> float:
    """CPU time that the Engine uses in so many intervals without us."""
    before_s = _used_s(engine)
    await asyncio.sleep(INTERVALS * INTERVAL_S)
    return _used_s(engine) - before_s


def _used_s(process: int) -> float:
    return cpu_seconds(Path(f"/proc/{process}/stat").read_text())


def _listener(docker_host: str) -> int:
    """The process that listens on a Unix socket (unix(7), SO_PEERCRED)."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(docker_host.removeprefix("unix://"))
        found = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[0])


if __name__ == "__main__":
    main()
