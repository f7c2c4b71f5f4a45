"""Fixtures: a simulated Engine, and a reader of one of its containers with what it handed on."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.engine.client import EngineClient
from agent.engine.endpoint import resolve
from agent.simulator import SimulatedEngine, SteppableClock


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path short enough for a socket: pytest's own directories may not be."""
    with tempfile.TemporaryDirectory(prefix="ferry") as directory:
        yield str(Path(directory) / "docker.sock")


@pytest.fixture
def clock() -> SteppableClock:
    return SteppableClock()


@pytest.fixture
async def engine(socket_path: str, clock: SteppableClock) -> AsyncIterator[SimulatedEngine]:
    async with SimulatedEngine(socket_path, clock=clock) as engine:
        yield engine


@pytest.fixture
async def client(engine: SimulatedEngine) -> AsyncIterator[EngineClient]:
    """Connected."""
    async with EngineClient(resolve({"DOCKER_HOST": engine.docker_host}), docker={}) as client:
        await client.connect()
        yield client
