"""`python -m tests.bench`: speed, memory and loss of the agent, on a real Engine and on the simulated one.

Everything is measured from outside: CPU time and memory as the kernel counts them, lines as receivers in
processes of their own count them. Exit status 1: a line was lost or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import orjson

from tests.bench.engines import Stage, real, simulated
from tests.bench.lines import WAYS, Lines
from tests.bench.measured import flow, rest
from tests.bench.processes import ROOT
from tests.bench.results import Rest, Results, Run
from tests.bench.yardsticks import curl, demultiplexing_us
from tests.engine.dockerd import NoEngineError

SINKS = (("tcp",), ("tcp", "loki", "file"))
QUICK_LINES, LINES, LINE_BYTES = 100_000, 500_000, 157
IDLE = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, help=f"lines of one flow (default: {LINES:,})")
    parser.add_argument(
        "--size", type=int, default=LINE_BYTES, help="bytes of one line (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"the simulated Engine alone, {QUICK_LINES:,} lines"
    )
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench.json", help="default: build/bench.json"
    )
    asked = parser.parse_args(argv)
    count = asked.lines or (QUICK_LINES if asked.quick else LINES)
    results = asyncio.run(measure(Lines(count, asked.size), quick=asked.quick))
    print(*results.table(), sep="\n")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_bytes(orjson.dumps(results.to_json(), option=orjson.OPT_INDENT_2) + b"\n")
    print(f"\nSaved in {asked.json}")
    return 0 if results.lossless else 1


async def measure(lines: Lines, *, quick: bool) -> Results:
    """All there is to measure; a real Engine that cannot be had is left out, and said."""
    bench = Bench(lines)
    await bench.run(simulated())
    if not quick:
        try:
            await bench.run(real())
        except NoEngineError as error:
            _tell(f"no real Engine: {error}")
    return Results(lines.size, demultiplexing_us(), bench.curl, bench.runs, bench.rests)


class Bench:
    """Gathers what is measured."""

    def __init__(self, lines: Lines) -> None:
        self.curl: dict[tuple[str, str], float] = {}
        self.runs: list[Run] = []
        self.rests: list[Rest] = []
        self._lines = lines

    async def run(self, engine: AbstractAsyncContextManager[Stage]) -> None:
        """Everything, on one Engine."""
        async with engine as stage:
            startup_cpu_s = (await rest(stage, 0)).startup_cpu_seconds
            for way in WAYS:
                await self._flows(stage, startup_cpu_s, way)
            _tell(f"{stage.name}: at rest")
            await stage.idle(IDLE)
            self.rests.append(await rest(stage, IDLE))

    async def _flows(self, stage: Stage, startup_cpu_s: float, way: str) -> None:
        lines = self._lines
        _tell(f"{stage.name}: {way}")
        writing = await stage.writing(_name(), lines)
        if way == "history":
            await writing.go()
            await writing.written()
        drained = await curl(stage.docker_host, writing, lines, way)
        self.curl[stage.name, way] = drained.lines / drained.seconds
        for sinks in SINKS:
            if way != "history":
                writing = await stage.writing(_name(), lines)
            run = await flow(stage, writing, lines, sinks, way=way, startup_cpu_s=startup_cpu_s)
            self.runs.append(run)


def _name() -> str:
    return f"bench-{uuid.uuid4().hex[:8]}"


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
