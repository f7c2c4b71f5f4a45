"""`python -m tests.bench.tailing`: what shipping loses while somebody looks, on the simulated Engine.

One container writes as fast as it can, one TCP sink takes it. In turns: nobody looks; the state is asked for once a
second, as the page does; the tail is followed besides; it is searched for a text that no line has.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import aiohttp

from tests.bench.engines import Stage, simulated
from tests.bench.lines import Lines
from tests.bench.measured import PATIENCE_S, agent
from tests.bench.processes import python

WAYS = ("nobody", "state", "tail", "search")
_PATHS = {"tail": "/api/tail", "search": "/api/tail?q=no+such+text"}
LINES, LINE_BYTES, ROUNDS = 1_000_000, 157, 5


@dataclass(frozen=True, slots=True)
class Pace:
    """One run: lines a second as they arrived, and the agent's CPU time for each, µs."""

    lines_per_s: float
    cpu_us: float


@contextlib.asynccontextmanager
async def looking(url: str, way: str) -> AsyncIterator[None]:
    """Somebody looks, meanwhile."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def ask() -> None:
            tick = 0
            while True:
                async with session.get(f"{url}/api/state?since={tick}") as answer:
                    tick = (await answer.json())["tick"]
                await asyncio.sleep(1)

        async def follow(path: str) -> None:
            async with session.get(url + path) as answer:
                async for _ in answer.content.iter_any():
                    pass

        async with asyncio.TaskGroup() as group:
            tasks = [] if way == "nobody" else [group.create_task(ask(), name="state")]
            if way in _PATHS:
                tasks.append(group.create_task(follow(_PATHS[way]), name=way))
            yield
            for task in tasks:
                task.cancel()


async def run(stage: Stage, lines: Lines, way: str) -> Pace:
    """Ship all lines once."""
    with tempfile.TemporaryDirectory(prefix="dockferry-received-") as directory:
        arguments = ["-m", "tests.bench.receivers", directory, str(lines.count), "no"]
        async with stage.crew(1) as crew, python(arguments, {}) as receivers:
            url = (await receivers.hear())["tcp"] + "?batch_age=100ms"
            settings = {"DOCKFERRY_INCLUDE": f"name={crew.name}-*", "DOCKFERRY_BACKLOG": "all"}
            async with agent(stage.docker_host, [url], settings) as running:
                await running.until_followed(1)
                async with looking(running.url, way):
                    before_s = running.process.cpu_s
                    await crew.go(lines)
                    told = (await receivers.ask({"sinks": ["tcp"], "patience_s": PATIENCE_S}))["tcp"]
                    cpu_s = running.process.cpu_s - before_s
    assert told["lines"] == told["distinct"] == lines.count, told
    return Pace(lines.count / (told["last_s"] - told["first_s"]), cpu_s / lines.count * 1e6)


async def measure(lines: Lines, rounds: int, ways: Sequence[str]) -> dict[str, list[Pace]]:
    """Each way in turn, so often: what else the machine does then falls on all alike."""
    paces: dict[str, list[Pace]] = {way: [] for way in ways}
    async with simulated() as stage:
        for _ in range(rounds):
            for way in ways:
                paces[way].append(await run(stage, lines, way))
    return paces


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.tailing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    paces = asyncio.run(measure(Lines(asked.lines, LINE_BYTES), asked.rounds, asked.ways))
    print(f"{asked.lines:,} lines of {LINE_BYTES} bytes, {asked.rounds} rounds: median (least-most)")
    base = statistics.median(pace.cpu_us for pace in paces[asked.ways[0]])
    for way, found in paces.items():
        speeds = sorted(pace.lines_per_s for pace in found)
        cpu = sorted(pace.cpu_us for pace in found)
        print(
            f"{way:8} {statistics.median(speeds):9,.0f} lines/s ({speeds[0]:,.0f}-{speeds[-1]:,.0f})"
            f"  {statistics.median(cpu):.2f} µs/line ({cpu[0]:.2f}-{cpu[-1]:.2f}),"
            f" {statistics.median(cpu) / base - 1:+.0%}"
        )


if __name__ == "__main__":
    main()
