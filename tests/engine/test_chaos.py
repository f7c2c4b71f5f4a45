"""Every fault of `make chaos` once, on an Engine that is killed too: each line arrives or its loss is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import deeds
from tests.chaos.crew import KINDS
from tests.chaos.storm import Storm
from tests.engine.dockerd import PrivateEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.chaos,
    pytest.mark.alone,
    # The Docker SDK does not close its socket when the Engine is away.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket.socket fd=[0-9]+, family=1,:pytest.PytestUnraisableExceptionWarning"
    ),
]
SEED = 4


async def test_every_fault_once_and_every_line_is_accounted_for(
    private_engine: PrivateEngine, tmp_path: Path
) -> None:
    """At four sinks: kills, restarts, full disks, names, limits of agent, Engine, containers, sinks."""
    if private_engine.podman:
        pytest.skip("Podman's log is another, and is lost when it is full: see test_podman.py")
    async with Storm(private_engine, tmp_path, SEED) as storm:
        await deeds.set_sail(storm, len(KINDS))
        await storm.sail(deeds.each_once(SEED))
        verdict = await storm.calm(last=True)
    assert not storm.wrong, f"seed {SEED}, {storm.done}"
    assert len(storm.done) == len(deeds.OTHERS | deeds.ENDS_THE_AGENT)
    assert verdict.logged > max(2000, verdict.lines * 0.9), "the log files were not seen"
    assert len(storm.vitals.lives) > 2
