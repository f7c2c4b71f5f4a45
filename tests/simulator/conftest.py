"""Fixtures: a simulated Engine, a client of it, and the real one to compare with."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.simulator import Container, SimulatedEngine
from tests.engine.conftest import engine, run_container  # noqa: F401  (fixtures, for the comparison)
from tests.simulator.client import Client


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path that is short enough for a Unix socket, which pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="sim") as directory:
        yield str(Path(directory) / "docker.sock")


@pytest.fixture
async def simulated(socket_path: str) -> AsyncIterator[SimulatedEngine]:
    """An Engine like 28.5.2."""
    async with SimulatedEngine(socket_path) as simulated_engine:
        yield simulated_engine


@pytest.fixture
async def client(socket_path: str) -> AsyncIterator[Client]:
    """A client of whatever listens on the socket."""
    async with Client(socket_path) as client:
        yield client


@pytest.fixture
def web(simulated: SimulatedEngine) -> Container:
    """A container that runs."""
    container = simulated.create("web")
    container.start()
    return container
