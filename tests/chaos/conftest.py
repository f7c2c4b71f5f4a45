"""Fixtures: a simulated Engine whose clock can be set."""

import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.simulator import SimulatedEngine, SteppableClock


@pytest.fixture
def clock() -> SteppableClock:
    """The Engine's."""
    return SteppableClock()


@pytest.fixture
def short_path() -> Iterator[str]:
    """A directory whose path is short enough for a Unix socket, which pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="chaos") as directory:
        yield directory


@pytest.fixture
async def engine(short_path: str, clock: SteppableClock) -> AsyncIterator[SimulatedEngine]:
    """An Engine like 28.5.2, with nothing on it."""
    async with SimulatedEngine(f"{short_path}/docker.sock", clock=clock) as simulated:
        yield simulated
