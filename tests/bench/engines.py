"""The Engines that the benchmark runs on: a real one and the simulated one, driven alike.

What goes on in a real one's containers is asked again and again: it has no event for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from docker.models.containers import Container

from tests.bench.lines import Lines
from tests.bench.processes import Child, python
from tests.engine.containers import RunContainer
from tests.engine.dockerd import connected, provide

_START_S = 30.0
_WRITE_S = 120.0
_LOOK_EVERY_S = 0.05
_AT_ONCE = 8
_WAIT_FOR_GO = "trap 'told=1' USR1; until [ $told ]; do usleep 10000; done"


class Writing(Protocol):
    """A container that runs, and writes its lines once it is told to go."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    async def go(self) -> None: ...
    async def written(self) -> None:
        """Return when the Engine has logged the last line. Raises TimeoutError."""


class Stage(Protocol):
    """An Engine. `name` is for people; `docker_host` a Unix socket."""

    @property
    def name(self) -> str: ...
    @property
    def docker_host(self) -> str: ...
    async def writing(self, name: str, lines: Lines) -> Writing: ...
    async def idle(self, count: int) -> None:
        """Start so many containers that write nothing; their names begin with `idle`."""


class _RealWriting:
    def __init__(self, container: Container, lines: Lines) -> None:
        self.id, self.name = str(container.id), str(container.name)
        self._container = container
        self._lines = lines

    async def go(self) -> None:
        await asyncio.to_thread(self._container.kill, "SIGUSR1")

    async def written(self) -> None:
        last = self._lines.line(self._lines.count) + b"\n"
        async with asyncio.timeout(_WRITE_S):
            while await asyncio.to_thread(self._container.logs, tail=1) != last:  # noqa: ASYNC110 - see above
                await asyncio.sleep(_LOOK_EVERY_S)

    async def ready(self) -> None:
        """Return when it listens for the signal: before that it would ignore it."""
        async with asyncio.timeout(_START_S):
            while "usleep" not in str(await asyncio.to_thread(self._container.top)):  # noqa: ASYNC110 - see above
                await asyncio.sleep(_LOOK_EVERY_S)


class _RealStage:
    def __init__(self, name: str, docker_host: str, run_container: RunContainer) -> None:
        self.name, self.docker_host = name, docker_host
        self._run = run_container

    async def writing(self, name: str, lines: Lines) -> Writing:
        script = f"{_WAIT_FOR_GO}; {lines.script}; exec sleep 1000"
        options = {"max-size": "10g", "max-file": "1"}  # the machine's own default may rotate
        container = await asyncio.to_thread(self._run, script, name=name, log_opts=options)
        writing = _RealWriting(container, lines)
        await writing.ready()
        return writing

    async def idle(self, count: int) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def start(number: int) -> None:
            async with slots:
                await asyncio.to_thread(self._run, "exec sleep 1000", name=f"idle-{number}")

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(start(number), name=f"idle {number}")


@contextlib.asynccontextmanager
async def real() -> AsyncIterator[Stage]:
    """The Engine that DOCKER_HOST or the context names, else a private one. Raises NoEngineError."""
    with tempfile.TemporaryDirectory(prefix="dockferry-engine-") as directory:
        host = await asyncio.to_thread(provide, directory)
        try:
            with connected(host) as engine, RunContainer(engine.client) as run_container:
                yield _RealStage("Engine " + ".".join(map(str, engine.version)), host, run_container)
        finally:
            await asyncio.to_thread(provide, "stop", directory)


class _SimulatedWriting:
    def __init__(self, engine: Child, id: str, name: str, lines: Lines) -> None:
        self.id, self.name = id, name
        self._engine = engine
        self._lines = lines

    async def go(self) -> None:
        asked = {"write": self.name, "count": self._lines.count, "size": self._lines.size}
        await self._engine.ask(asked)

    async def written(self) -> None:
        """It is, when `go` returns."""


class _SimulatedStage:
    name = "simulated"

    def __init__(self, docker_host: str, engine: Child) -> None:
        self.docker_host = docker_host
        self._engine = engine

    async def writing(self, name: str, lines: Lines) -> Writing:
        return _SimulatedWriting(self._engine, await self._engine.ask({"create": name}), name, lines)

    async def idle(self, count: int) -> None:
        await self._engine.ask({"idle": count})


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Stage]:
    """The simulated Engine."""
    with tempfile.TemporaryDirectory(prefix="dockferry-engine-") as directory:
        socket_path = str(Path(directory) / "docker.sock")
        async with python(["-m", "tests.bench.simulated", socket_path], {}) as engine:
            await engine.hear()
            yield _SimulatedStage(f"unix://{socket_path}", engine)
