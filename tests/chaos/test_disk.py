"""A disk that fills up under the spool while lines flow: shipping goes on, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.simulator import Container, SimulatedEngine
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import Agent, until
from tests.engine.shipping import messages
from tests.receivers.tcp import TcpReceiver

pytestmark = pytest.mark.chaos
BLOCK = bytes(4096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB where the state is to be."""
    path = tmp_path / "state"
    path.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", path], check=False).returncode
    ):
        pytest.skip("mounting needs root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> Path:
    """The file that takes all the room there was."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(BLOCK)
    return ballast


@contextlib.asynccontextmanager
async def flowing(ledger: Ledger, container: Container) -> AsyncIterator[None]:
    """Twenty lines each 10 ms meanwhile."""

    async def write() -> None:
        while True:
            ledger.write(container, 20, more=" " + "x" * 100)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        try:
            yield
        finally:
            writing.cancel()


async def test_a_full_disk_is_told_once_and_costs_nothing(
    engine: SimulatedEngine, small_disk: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Records go on from memory; /readyz and the metrics tell; with room again the spool is written again."""
    ledger, tcp, path = Ledger(), TcpReceiver(), tmp_path / "out.ndjson"
    container = engine.create("web")
    container.start()
    async with tcp.listening():
        sinks = {
            "file": f"file://{path}?batch_age=100ms",
            "tcp": f"tcp://127.0.0.1:{tcp.port}?batch_age=100ms",
        }
        address = f"127.0.0.1:{unused_tcp_port}"
        async with (
            Agent(engine.docker_host, tmp_path, sinks, http=address) as agent,
            flowing(ledger, container),
        ):
            await until(lambda: len(messages(path)) > 100, "lines", told=agent.said)
            ballast = fill(small_disk)
            await until(lambda: "cannot be written" in agent.said(), "it tells", told=agent.said)
            seen = ledger.total
            await until(lambda: min(len(messages(path)), len(tcp.inbox.records)) > seen + 500, "it ships on")
            _, ready = await agent.asked("/readyz")
            assert "full" in ready["spool_degraded"]
            assert await agent.metric("spool_degraded") == 1
            ballast.unlink()
            await until(lambda: "is written again" in agent.said(), "it recovers", told=agent.said)
            assert await agent.metric("spool_degraded") == 0
            assert (await agent.asked("/readyz"))[1]["spool_degraded"] is None
            assert await agent.metric("lost_records_total") == 0
            agent.kill()
            await agent.begin()
        async with Agent(engine.docker_host, tmp_path, sinks) as agent:
            await until(lambda: ledger.whole(messages(path)), "all in the file", told=agent.said)
            await tcp.inbox.until(lambda: ledger.whole([record.message for record in tcp.inbox.records]))
            assert await agent.end() == 0
    assert ledger.differences(messages(path)) == ""
    assert agent.said().count("cannot be written") == agent.said().count("is written again") == 1
