"""The agent, run as anybody would run it and watched from outside: one flow of lines, or a rest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from tests.bench.engines import Stage, Writing
from tests.bench.lines import Lines
from tests.bench.processes import Child, python
from tests.bench.results import Rest, Run

PATIENCE_S = 60.0
REST_S = 5.0
_LOOK_EVERY_S = 0.02
#: The last lines, too few for a request, are not waited for; and the file is read by its name.
_OPTIONS = {"tcp": "?batch_age=100ms", "loki": "?batch_age=100ms", "file": "?batch_age=100ms&rotate_bytes=0"}


@dataclass(slots=True)
class Agent:
    """One running agent."""

    process: Child
    url: str
    began_s: float

    async def until(self, true: Callable[[str], bool]) -> None:
        """Return when its metrics are so. Raises TimeoutError, EOFError."""
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                if self.process.ended:
                    raise EOFError("the agent has ended early; see above")
                with contextlib.suppress(aiohttp.ClientConnectorError):
                    async with session.get(f"{self.url}/metrics") as answer:
                        if true(await answer.text()):
                            return
                await asyncio.sleep(_LOOK_EVERY_S)


def metric(text: str, name: str) -> float:
    """The sum of a metric over its labels, from what /metrics says."""
    samples = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in samples)


@contextlib.asynccontextmanager
async def agent(docker_host: str, urls: Sequence[str], settings: Mapping[str, str]) -> AsyncIterator[Agent]:
    """`dockferry run` with these sinks, its spool on disk; leaving ends it."""
    with tempfile.TemporaryDirectory(prefix="dockferry-state-") as state:
        address = f"127.0.0.1:{_free_port()}"
        environ = {
            "DOCKER_HOST": docker_host,
            "DOCKFERRY_STATE": state,
            "DOCKFERRY_HTTP": address,
            "DOCKFERRY_LOG_LEVEL": "warning",
            "PATH": os.defpath,
            **settings,
        }
        began_s = time.monotonic()
        async with python(["-m", "agent", "run", *urls], environ) as process:
            yield Agent(process, f"http://{address}", began_s)


async def flow(
    stage: Stage, writing: Writing, lines: Lines, sinks: Sequence[str], *, way: str, startup_cpu_s: float
) -> Run:
    """Ship the lines of one container.

    way            see `tests.bench.lines.WAYS`
    startup_cpu_s  what the agent needs to start, taken off where it cannot be told from the flow
    """
    with tempfile.TemporaryDirectory(prefix="dockferry-received-") as directory:
        arguments = ["-m", "tests.bench.receivers", directory, str(lines.count)]
        async with python(arguments, {}) as receivers:
            urls = await receivers.hear()
            settings = {"DOCKFERRY_INCLUDE": f"name={writing.name}", "DOCKFERRY_BACKLOG": "all"}
            settings |= {"DOCKFERRY_SOURCE": "attach" if way == "attach" else "logs"}
            chosen = [urls[sink] + _OPTIONS[sink] for sink in sinks]
            async with agent(stage.docker_host, chosen, settings) as running:
                before_s = startup_cpu_s
                if way != "history":
                    await running.until(lambda text: metric(text, "dockferry_stream_opens_total") >= 1)
                    before_s = running.process.cpu_s
                    await writing.go()
                told = await receivers.ask({"sinks": list(sinks), "patience_s": PATIENCE_S})
                cpu_s = running.process.cpu_s - before_s
                peak_bytes = running.process.peak_bytes
    return Run(
        engine=stage.name,
        way=way,
        sinks=tuple(sinks),
        lines=lines.count,
        seconds=max(each["last_s"] for each in told.values())
        - min(each["first_s"] for each in told.values()),
        cpu_seconds=cpu_s,
        peak_bytes=peak_bytes,
        delivered={sink: int(each["lines"]) for sink, each in told.items()},
        distinct={sink: int(each["distinct"]) for sink, each in told.items()},
    )


async def rest(stage: Stage, containers: int) -> Rest:
    """Follow containers that write nothing; they are there already."""
    settings = {"DOCKFERRY_INCLUDE": "name=idle-*"}
    async with agent(stage.docker_host, ["tcp://127.0.0.1:9"], settings) as running:  # never needed
        await running.until(lambda text: metric(text, "dockferry_stream_opens_total") >= containers)
        startup_s = time.monotonic() - running.began_s
        startup_cpu_s = before_s = running.process.cpu_s
        await asyncio.sleep(REST_S)  # what is measured
        return Rest(
            engine=stage.name,
            containers=containers,
            startup_seconds=startup_s,
            startup_cpu_seconds=startup_cpu_s,
            rss_bytes=running.process.rss_bytes,
            cpu_percent=(running.process.cpu_s - before_s) / REST_S * 100,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
