"""The simulated Engine in a thread of its own, so that a test may drive it while a browser looks at the agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from agent.simulator import Container, SimulatedEngine

T = TypeVar("T")
_PATIENCE_S = 20.0


class StagedEngine:
    """An Engine while its `with` lasts. What is done with it is done in its thread."""

    def __init__(self, directory: Path) -> None:
        self._engine = SimulatedEngine(str(directory / "docker.sock"))
        self.host = self._engine.docker_host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._engine.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._engine.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    def start(self, name: str, **spec: Any) -> Container:  # noqa: ANN401 - the simulator's own
        """A container that runs."""

        def begin() -> Container:
            container = self._engine.create(name, **spec)
            container.start()
            return container

        return self.do(begin)

    def write(self, container: Container, *lines: str | bytes, stream: str = "stdout") -> None:
        """It writes these lines."""
        data = [line.encode() if isinstance(line, str) else line for line in lines]
        self.do(lambda: container.write(b"".join(line + b"\n" for line in data), stream))

    def write_at(self, container: Container, lines_per_s: int, seconds: float) -> None:
        """It writes so many lines a second for so long; returns when it has."""
        self._wait(_write_at(container, lines_per_s, seconds), seconds + _PATIENCE_S)

    def do(self, what: Callable[[], T]) -> T:
        """Do this in the Engine's thread."""

        async def done() -> T:
            return what()

        return self._wait(done())

    def go_down(self) -> None:
        self._wait(self._engine.go_down())

    def come_back(self) -> None:
        self._wait(self._engine.come_back())

    def _wait(self, what: Coroutine[Any, Any, T], seconds: float = _PATIENCE_S) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(seconds)


async def _write_at(container: Container, lines_per_s: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    began, written = loop.time(), 0
    while (lasted := loop.time() - began) < seconds:
        due = int(lasted * lines_per_s)
        text = "request %09d took 12 ms and was answered with 200 OK"
        container.write_many([(text % number).encode() for number in range(written, due)])
        written = due
        await asyncio.sleep(0.02)  # the pace
