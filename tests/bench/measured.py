"""A reader, run as anybody would run it and watched from outside: one flow of lines, or a rest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.cases import Case, Rest, Run
from tests.bench.engines import Crew, Stage
from tests.bench.latency import Latency
from tests.bench.lines import Lines
from tests.bench.pacing import Pace
from tests.bench.processes import Child, python
from tests.receivers.program import free_port

PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.02


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

    async def until_followed(self, containers: int) -> None:
        """Return when it reads so many streams. Raises as `until`."""
        await self.until(lambda text: metric(text, "dockferry_stream_opens_total") >= containers)


def metric(text: str, name: str) -> float:
    """The sum of a metric over its labels, from what /metrics says."""
    samples = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in samples)


@contextlib.asynccontextmanager
async def agent(docker_host: str, urls: Sequence[str], settings: Mapping[str, str]) -> AsyncIterator[Agent]:
    """`dockferry run` with these sinks, its spool on disk unless the settings say else; leaving ends it."""
    with tempfile.TemporaryDirectory(prefix="dockferry-state-") as state:
        address = f"127.0.0.1:{free_port()}"
        environ = {
            "DOCKER_HOST": docker_host,
            "DOCKFERRY_STATE": state,
            "DOCKFERRY_HTTP": address,
            "DOCKFERRY_LOG_LEVEL": "error" if settings.get("DOCKFERRY_STATE") == "memory" else "warning",
            "PATH": os.defpath,
            **settings,
        }
        began_s = time.monotonic()
        async with python(["-m", "agent", "run", *urls], environ) as process:
            yield Agent(process, f"http://{address}", began_s)


@dataclass(frozen=True, slots=True)
class Work:
    """What a reader is to do: a case's lines, to the URLs of its sinks; `directory` is its own."""

    stage: Stage
    crew: Crew
    case: Case
    urls: Mapping[str, str]
    directory: Path


#: Starts a reader: a context that lasts as long as it runs, and begins when it follows every container.
Reader = Callable[[Work], AbstractAsyncContextManager[Child]]


@contextlib.asynccontextmanager
async def dockferry(work: Work) -> AsyncIterator[Child]:
    """This version."""
    case = work.case
    age = [f"batch_age={case.batch_age}"] if case.batch_age else []
    urls = []
    for sink in case.sinks:
        options = [*age, *(["rotate_bytes=0"] if sink == "file" else [])]  # it is read by its name
        urls.append(work.urls[sink] + ("?" + "&".join(options) if options else ""))
    settings = {
        "DOCKFERRY_INCLUDE": f"name={work.crew.name}-*",
        "DOCKFERRY_SOURCE": "attach" if case.way == "attach" else "logs",
        "DOCKFERRY_BACKLOG": "all" if case.way == "history" else "none",
        **({"DOCKFERRY_STATE": "memory"} if case.state == "memory" else {}),
    }
    async with agent(work.stage.docker_host, urls, settings) as running:
        if case.way != "history":
            await running.until_followed(case.containers)
        yield running.process


async def shipped(
    stage: Stage, crew: Crew, case: Case, count: int, reader: Reader, *, startup_cpu_s: float = 0
) -> Run:
    """Have `reader` ship so many lines of the crew. A history has been written already.

    startup_cpu_s  what the reader needs to start, taken off where it cannot be told from the flow
    """
    lines = Lines(count, case.size)
    stamped = "no" if case.pace is None else "yes"
    with tempfile.TemporaryDirectory(prefix="dockferry-received-") as directory:
        arguments = ["-m", "tests.bench.receivers", directory, str(count), stamped]
        async with python(arguments, {}) as receivers:
            work = Work(stage, crew, case, await receivers.hear(), Path(directory))
            async with reader(work) as process, process.watched() as memory:
                before_s = startup_cpu_s
                if case.way != "history":
                    before_s = process.cpu_s
                    await write(crew, case, lines)
                told = await receivers.ask({"sinks": list(case.sinks), "patience_s": PATIENCE_S})
                cpu_s = process.cpu_s - before_s
    latency = next((each["latency"] for each in told.values() if each["latency"]), None)
    return Run(
        case=case,
        lines=count,
        seconds=max(each["last_s"] for each in told.values())
        - min(each["first_s"] for each in told.values()),
        cpu_seconds=cpu_s,
        memory=memory[0],
        delivered=sum(each["lines"] for each in told.values()),
        distinct=min(each["distinct"] for each in told.values()),
        latency=Latency(**latency) if latency else None,
    )


async def drained(stage: Stage, crew: Crew, case: Case, count: int) -> Run:
    """Have the bare reader read so many lines of the crew."""
    path = stage.docker_host.removeprefix("unix://")
    stamped = "no" if case.pace is None else "yes"
    arguments = ["-m", "tests.bench.bare", path, case.way, str(count), stamped, *crew.ids]
    async with python(arguments, {}) as process:
        await process.hear()
        async with process.watched() as memory:
            before_s = process.cpu_s
            if case.way != "history":
                await write(crew, case, Lines(count, case.size))
            told = await process.hear()
            cpu_s = process.cpu_s - before_s
    seconds = told["last_s"] - told["first_s"]
    latency = Latency(**told["latency"]) if told["latency"] else None
    return Run(case, count, seconds, cpu_s, memory[0], told["lines"], told["lines"], latency)


async def write(crew: Crew, case: Case, lines: Lines) -> None:
    """Have the crew write as the case says."""
    if case.pace is None:
        await crew.go(lines)
    else:
        await crew.pace(Pace(lines, case.pace))


async def rest(stage: Stage, crew: Crew, containers: int, seconds: float) -> Rest:
    """Follow containers that write nothing; they are there already."""
    settings = {"DOCKFERRY_INCLUDE": f"name={crew.name}-*"}
    async with agent(stage.docker_host, ["tcp://127.0.0.1:9"], settings) as running:  # never needed
        await running.until_followed(containers)
        startup_s = time.monotonic() - running.began_s
        process = running.process
        startup_cpu_s = process.cpu_s
        async with process.watched() as memory:
            before_s = process.cpu_s
            await asyncio.sleep(seconds)  # what is measured
            cpu_s = process.cpu_s - before_s
        return Rest(
            engine=stage.name,
            containers=containers,
            startup_seconds=startup_s,
            startup_cpu_seconds=startup_cpu_s,
            memory=memory[0],
            cpu_percent=cpu_s / seconds * 100,
            seconds=seconds,
        )
