"""Fixtures: a simulated Engine, and a client for it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.engine.client import EngineClient
from agent.engine.endpoint import resolve
from agent.simulator import SimulatedEngine


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path short enough for a socket: pytest's own directories may not be."""
    with tempfile.TemporaryDirectory(prefix="ferry") as directory:
        yield str(Path(directory) / "docker.sock")


@pytest.fixture
async def engine(socket_path: str) -> AsyncIterator[SimulatedEngine]:
    async with SimulatedEngine(socket_path) as engine:
        yield engine


@pytest.fixture
async def client(socket_path: str) -> AsyncIterator[EngineClient]:
    """Not connected yet; the Engine may be down."""
    async with EngineClient(resolve({"DOCKER_HOST": f"unix://{socket_path}"}), docker={}) as client:
        yield client
