"""The agent as a process of its own beside a simulated Engine, which needs this process's event loop to run."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp

from tests.engine import shipping

TRACEBACK = "Traceback (most recent call last)"


async def until(
    true: Callable[[], bool],
    what: str,
    *,
    seconds: float = shipping.DEADLINE_S,
    told: Callable[[], str] = str,
) -> None:
    """Wait until `true()`; fails with `what`, and what `told` has to say, when it takes longer."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not true():
        assert loop.time() < deadline, f"not within {seconds:.0f} s: {what}\n{told()}"
        await asyncio.sleep(0.02)


class Agent(shipping.Agent):
    """`dockferry run` on a simulated Engine; `async with` kills it at the end. `start` and `stop` would block."""

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        assert TRACEBACK not in self.said(), self.said()

    async def begin(self) -> None:
        """Start it, and wait until it is connected to the Engine."""
        seen = len(self.said())
        self.launch()
        await until(lambda: "connected to" in self.said()[seen:], "the agent is connected", told=self.said)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self, seconds: float = 30.0) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.to_thread(self.process.wait, seconds)

    async def asked(self, path: str) -> tuple[int, Any]:
        """Status and JSON of its own HTTP server, or the text of /metrics."""
        url = f"http://{self.environ['DOCKFERRY_HTTP']}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = path == "/metrics"
            return answer.status, await (answer.text() if text else answer.json())

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        _, text = await self.asked("/metrics")
        return sum(
            float(value) for value in re.findall(rf"^dockferry_{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        )


@contextlib.asynccontextmanager
async def timed(most_s: float, least_s: float = 0.0) -> AsyncIterator[None]:
    """Fails when the body takes longer, or less."""
    began = asyncio.get_running_loop().time()
    yield
    took = asyncio.get_running_loop().time() - began
    assert least_s <= took <= most_s, f"took {took:.1f} s, not {least_s:g} to {most_s:g}"
