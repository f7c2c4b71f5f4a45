"""The Engines that the benchmark runs on: a real one and the simulated one, driven alike.

A real one's containers run a shell that is told what to do through a named pipe: waiting costs them nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from docker.models.containers import Container

from tests.bench.lines import Lines
from tests.bench.pacing import PAUSE_S, Pace
from tests.bench.processes import Child, python
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine, connected, provide

_START_S = 30.0
_WRITE_S = 120.0
_LOOK_EVERY_S = 0.01
_AT_ONCE = 8
_PIPES = "/bench"
#: Log options: the machine's own default may rotate.
_WHOLE = {"max-size": "10g", "max-file": "1"}


class Crew(Protocol):
    """Containers that run, and write when they are told to; their names begin with `name`."""

    @property
    def name(self) -> str: ...
    @property
    def ids(self) -> Sequence[str]: ...
    async def go(self, lines: Lines) -> None:
        """Have them share these lines, each as fast as it can; return without waiting for the end."""

    async def pace(self, pace: Pace) -> None:
        """Have them write these; return when they have."""

    async def logged(self, lines: Lines) -> None:
        """Return when the Engine has logged the last line that `go` had one container write. TimeoutError."""


class Stage(Protocol):
    """An Engine. `name` is for people; `docker_host` a Unix socket; `root` its directory, of a real one."""

    @property
    def name(self) -> str: ...
    @property
    def docker_host(self) -> str: ...
    @property
    def root(self) -> Path | None: ...
    def crew(self, count: int, name: str = "bench") -> contextlib.AbstractAsyncContextManager[Crew]:
        """So many containers; leaving removes them, on a real one."""

    async def idle(self, count: int) -> None:
        """Start so many containers that write nothing; their names begin with `idle`."""


class _RealCrew:
    def __init__(self, name: str, pipes: Path) -> None:
        self.name = name
        self.containers: dict[str, Container] = {}
        self._pipes = pipes

    @property
    def ids(self) -> Sequence[str]:
        return [str(container.id) for container in self.containers.values()]

    def start(self, run_container: RunContainer, number: int) -> None:
        """Blocks until it listens."""
        name = f"{self.name}-{number}"
        for pipe in (name, f"{name}.data"):
            os.mkfifo(self._pipes / pipe)
        self.containers[name] = run_container(
            f'while :; do read -r told < {_PIPES}/{name} && eval "$told" || usleep 10000; done',
            name=name,
            log_opts=_WHOLE,
            volumes={str(self._pipes): {"bind": _PIPES, "mode": "ro"}},
        )
        os.close(self._opened(name))

    async def go(self, lines: Lines) -> None:
        shares = zip(self.containers, lines.shared(len(self.containers)), strict=True)

        def tell() -> None:
            for name, share in shares:
                self._tell(name, share.script)

        await asyncio.to_thread(tell)

    async def pace(self, pace: Pace) -> None:
        await asyncio.to_thread(self._write, pace)

    async def logged(self, lines: Lines) -> None:
        [container] = self.containers.values()
        last = lines.line(lines.last) + b"\n"
        async with asyncio.timeout(_WRITE_S):
            while await asyncio.to_thread(container.logs, tail=1) != last:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(_LOOK_EVERY_S)

    def _tell(self, name: str, script: str) -> None:
        with open(self._opened(name), "wb") as pipe:  # noqa: PTH123 - of a descriptor
            pipe.write(script.encode() + b"\n")

    def _write(self, pace: Pace) -> None:
        with contextlib.ExitStack() as stack:
            pipes = []
            for name in self.containers:
                self._tell(name, f"cat {_PIPES}/{name}.data")
                pipes.append(self._opened(f"{name}.data"))
                stack.callback(os.close, pipes[-1])
            began_s, written = time.monotonic(), 0
            while written < pace.lines.count:
                numbers = pace.due(written, time.monotonic() - began_s)
                for place, data in pace.parcels(numbers, len(pipes), time.time_ns()):
                    _write_all(pipes[place], data)
                written += len(numbers)
                if pace.per_second:
                    time.sleep(PAUSE_S)

    def _opened(self, name: str) -> int:
        """The pipe's end to write to, when there is a reader. Raises TimeoutError."""
        deadline_s = time.monotonic() + _START_S
        while True:
            try:
                end = os.open(self._pipes / name, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{name} does not listen within {_START_S:.0f} s") from error
                time.sleep(_LOOK_EVERY_S)
            else:
                os.set_blocking(end, True)
                return end


def _write_all(end: int, data: bytes) -> None:
    while data:
        data = data[os.write(end, data) :]


@dataclass(frozen=True, slots=True)
class _RealStage:
    name: str
    docker_host: str
    root: Path
    engine: Engine
    idlers: contextlib.AsyncExitStack

    @contextlib.asynccontextmanager
    async def crew(self, count: int, name: str = "bench") -> AsyncIterator[Crew]:
        with tempfile.TemporaryDirectory(prefix="dockferry-pipes-") as directory:
            crew = _RealCrew(f"{name}-{uuid.uuid4().hex[:8]}", Path(directory))
            hands = [RunContainer(self.engine.client) for _ in range(min(count, _AT_ONCE))]

            def start(hand: int) -> None:
                for number in range(hand, count, len(hands)):
                    crew.start(hands[hand], number)

            def remove(hand: RunContainer) -> None:
                with hand:
                    pass

            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(len(hands)):
                        group.create_task(asyncio.to_thread(start, number), name=f"start {number}")
                yield crew
            finally:
                async with asyncio.TaskGroup() as group:
                    for number, hand in enumerate(hands):
                        group.create_task(asyncio.to_thread(remove, hand), name=f"remove {number}")

    async def idle(self, count: int) -> None:
        await self.idlers.enter_async_context(self.crew(count, "idle"))


@contextlib.asynccontextmanager
async def real() -> AsyncIterator[Stage]:
    """The Engine that DOCKER_HOST or the context names, else a private one. Raises NoEngineError."""
    with tempfile.TemporaryDirectory(prefix="dockferry-engine-") as directory:
        host = await asyncio.to_thread(provide, directory)
        try:
            with connected(host) as engine:
                root = Path((await asyncio.to_thread(engine.client.info))["DockerRootDir"])
                name = "Engine " + ".".join(map(str, engine.version))
                async with contextlib.AsyncExitStack() as idlers:
                    yield _RealStage(name, host, root, engine, idlers)
        finally:
            await asyncio.to_thread(provide, "stop", directory)


class _SimulatedCrew:
    def __init__(self, engine: Child, name: str, ids: Sequence[str]) -> None:
        self.name, self.ids = name, ids
        self._engine = engine

    async def go(self, lines: Lines) -> None:
        asked = {"go": self.name, "count": lines.count, "size": lines.size, "first": lines.first}
        await self._engine.ask(asked)

    async def pace(self, pace: Pace) -> None:
        lines = {"count": pace.lines.count, "size": pace.lines.size, "first": pace.lines.first}
        await self._engine.ask({"pace": self.name, "per_second": pace.per_second, **lines})

    async def logged(self, lines: Lines) -> None:
        """It is, when `go` returns."""


class _SimulatedStage:
    name = "simulated"
    root = None

    def __init__(self, docker_host: str, engine: Child) -> None:
        self.docker_host = docker_host
        self._engine = engine

    @contextlib.asynccontextmanager
    async def crew(self, count: int, name: str = "bench") -> AsyncIterator[Crew]:
        name = f"{name}-{uuid.uuid4().hex[:8]}"
        yield _SimulatedCrew(self._engine, name, await self._engine.ask({"create": name, "count": count}))

    async def idle(self, count: int) -> None:
        await self._engine.ask({"create": "idle", "count": count})


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Stage]:
    """The simulated Engine."""
    with tempfile.TemporaryDirectory(prefix="dockferry-engine-") as directory:
        socket_path = str(Path(directory) / "docker.sock")
        async with python(["-m", "tests.bench.simulated", socket_path], {}) as engine:
            await engine.hear()
            yield _SimulatedStage(f"unix://{socket_path}", engine)
