"""`dockferry check`: asks everything at once, and tells it a line each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.check import check
from agent.settings import Settings
from agent.simulator import SimulatedEngine
from agent.sinks import parse_sink
from tests.receivers.tcp import TcpReceiver


@pytest.fixture
async def engine() -> AsyncIterator[SimulatedEngine]:
    """An Engine with one container that runs and one that does not."""
    with tempfile.TemporaryDirectory(prefix="check") as directory:
        async with SimulatedEngine(f"{directory}/docker.sock", name="node-1") as simulated:
            simulated.create("web").start()
            simulated.create("job")
            yield simulated


async def checked(environ: dict[str, str]) -> tuple[int, dict[str, str]]:
    """The exit status, and what was said of each part: its mark and the rest of the line."""
    lines: list[str] = []
    settings = Settings.load(environ)
    sinks = [parse_sink(name, url) for name, url in settings.urls.items()]
    async with asyncio.timeout(30):
        status = await check(settings, sinks, lines.append)
    assert len(lines) == 3 + len(sinks)
    said = {}
    for line in lines:
        verdict, rest = line.split(maxsplit=1)
        part = " ".join(rest.split()[: 2 if rest.startswith("sink") else 1])
        said[part] = f"{'well' if verdict in {'✓', 'ok'} else 'ill'}: {rest.removeprefix(part).strip()}"
    return status, said


async def test_all_is_well(engine: SimulatedEngine, tmp_path: Path) -> None:
    """Engine by version and name, each sink by its URL; nothing is made and nothing is sent."""
    environ = {
        "DOCKER_HOST": engine.docker_host,
        "DOCKFERRY_STATE": f"{tmp_path}/state",
        "DOCKFERRY_SINK_FILES": f"file://{tmp_path}/logs/x.ndjson",
    }
    status, said = await checked(environ)
    assert status == 0
    assert said["engine"].startswith("well: Docker Engine 28.5.2, API 1.51 on node-1 (unix://")
    assert said["engine"].endswith("containers running: 1")
    assert said["state"] == f"well: {tmp_path}/state will be made"
    assert said["sink files"] == f"well: file://{tmp_path}/logs/x.ndjson would accept"
    assert not await asyncio.to_thread(os.listdir, tmp_path)


async def test_a_spool_of_a_newer_format_is_told(tmp_path: Path) -> None:
    """`run` would refuse to start on it."""
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db:
        db.execute("PRAGMA user_version = 1000")
    status, said = await checked(
        {
            "DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
            "DOCKFERRY_STATE": str(tmp_path),
            "DOCKFERRY_SINK_OUT": "console:",
        }
    )
    assert status == 1
    assert said["state"].startswith(f"ill: {tmp_path}/spool.db was written by a newer Dockferry")


async def test_each_problem_is_told_and_none_hides_another(tmp_path: Path, unused_tcp_port: int) -> None:
    """An Engine and a sink that do not answer, a state directory that is a file."""
    (tmp_path / "state").touch()
    environ = {
        "DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
        "DOCKFERRY_STATE": f"{tmp_path}/state",
        "DOCKFERRY_SINK_DOWN": f"tcp://127.0.0.1:{unused_tcp_port}",
        "DOCKFERRY_SINK_OUT": "console:",
    }
    status, said = await checked(environ)
    assert status == 1
    assert said["settings"].startswith("well: valid, 3 set")
    assert said["state"].startswith(f"ill: {tmp_path}/state is no directory: set DOCKFERRY_STATE")
    assert said["engine"].startswith("ill: ")
    assert f"{tmp_path}/docker.sock" in said["engine"]
    assert said["sink down"].startswith(f"ill: tcp://127.0.0.1:{unused_tcp_port}: ")
    assert said["sink out"] == "well: console: would accept"


async def test_what_a_probe_cannot_show_is_not_told(engine: SimulatedEngine) -> None:
    """A receiver that never answers may accept, or not."""
    async with TcpReceiver().listening() as receiver:
        environ = {
            "DOCKER_HOST": engine.docker_host,
            "DOCKFERRY_STATE": "memory",
            "DOCKFERRY_SINK_LINES": f"tcp://127.0.0.1:{receiver.port}",
            "DOCKFERRY_SINK_UDP": "syslog+udp://127.0.0.1:9",
        }
        status, said = await checked(environ)
    assert status == 0
    assert said["sink lines"].endswith(" takes a connection; it never answers")
    assert said["sink udp"].endswith(" has an address; whether somebody listens there, UDP does not tell")
    assert receiver.inbox.records == []


async def test_memory_mode_needs_no_directory(engine: SimulatedEngine) -> None:
    """But one is told what that costs."""
    status, said = await checked({"DOCKER_HOST": engine.docker_host, "DOCKFERRY_STATE": "memory"})
    assert status == 0
    assert said["state"] == "well: in memory: what waits for a sink is lost when the agent ends"


async def test_a_password_is_not_told(engine: SimulatedEngine, unused_tcp_port: int) -> None:
    """Neither when a sink is well nor when it is not."""
    url = f"http://user:hunter2@127.0.0.1:{unused_tcp_port}/?headers=X-Key=hunter2"
    environ = {"DOCKER_HOST": engine.docker_host, "DOCKFERRY_STATE": "memory", "DOCKFERRY_SINK_H": url}
    status, said = await checked(environ)
    assert status == 1
    assert "hunter2" not in str(said)
    assert "***" in said["sink h"]
