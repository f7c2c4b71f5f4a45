"""Signals: the first drains, the second ends at once, and whatever was not delivered comes at the next start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from agent.simulator import Container, SimulatedEngine
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import Agent, timed, until
from tests.engine.shipping import messages
from tests.receivers.tcp import TcpReceiver

pytestmark = pytest.mark.chaos
STARTS = 12
both = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


@pytest.fixture
def web(engine: SimulatedEngine) -> Container:
    """A container that runs."""
    container = engine.create("web")
    container.start()
    return container


@both
async def test_the_first_signal_drains_within_the_grace_and_a_dead_sink_keeps_its_records(
    engine: SimulatedEngine, web: Container, tmp_path: Path, number: signal.Signals
) -> None:
    """Status 0. The file, which gathers for an hour, has all; the dead sink gets all after the next start."""
    ledger, tcp, path = Ledger(), TcpReceiver(), tmp_path / "out.ndjson"
    async with tcp.listening():
        pass
    sinks = {"file": f"file://{path}?batch_age=1h", "tcp": f"tcp://127.0.0.1:{tcp.port}"}
    async with Agent(engine.docker_host, tmp_path, sinks, shutdown_grace="1s") as agent:
        ledger.write(web, 3000)
        await until(lambda: agent.waiting() >= 3000, "the lines are in the spool", told=agent.said)
        async with timed(4.0, least_s=0.9):
            assert await agent.end(number) == 0
        assert ledger.differences(messages(path)) == ""
        assert "3000 records wait in the spool for sink tcp, until the next start" in agent.said()
        async with tcp.listening():
            await agent.begin()
            await tcp.inbox.have(3000)
            assert await agent.end() == 0
    assert ledger.differences([record.message for record in tcp.inbox.records]) == ""
    assert ledger.differences(messages(path)) == ""


@both
async def test_a_second_signal_ends_at_once(
    engine: SimulatedEngine, web: Container, tmp_path: Path, number: signal.Signals
) -> None:
    """By the signal itself, so that whoever waits can tell; what was not delivered comes at the next start."""
    ledger, tcp = Ledger(), TcpReceiver()
    async with tcp.listening():
        pass
    sinks = {"tcp": f"tcp://127.0.0.1:{tcp.port}"}
    async with Agent(engine.docker_host, tmp_path, sinks, shutdown_grace="60s") as agent:
        ledger.write(web, 1000)
        await until(lambda: agent.waiting() >= 1000, "the lines are in the spool", told=agent.said)
        agent.process.send_signal(number)
        await until(lambda: f"{number.name}: stopping; once more ends at once" in agent.said(), "it heard")
        async with timed(2.0):
            assert await agent.end(number) == -number
        async with tcp.listening():
            await agent.begin()
            await tcp.inbox.have(1000)
            assert await agent.end() == 0
    assert ledger.differences([record.message for record in tcp.inbox.records]) == ""


async def test_a_kill_in_the_middle_of_draining_loses_nothing(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """One sink has all, the other is being waited for; each has every line once in the end."""
    ledger, tcp, path = Ledger(), TcpReceiver(), tmp_path / "out.ndjson"
    async with tcp.listening():
        pass
    sinks = {"file": f"file://{path}?batch_age=1h", "tcp": f"tcp://127.0.0.1:{tcp.port}"}
    async with Agent(engine.docker_host, tmp_path, sinks, shutdown_grace="60s") as agent:
        ledger.write(web, 5000)
        await until(lambda: agent.waiting() >= 5000, "the lines are in the spool", told=agent.said)
        agent.process.send_signal(signal.SIGTERM)
        await until(lambda: bool(messages(path)), "it drains", told=agent.said)
        agent.kill()
        ledger.write(web, 1000)
        async with tcp.listening():
            await agent.begin()
            await tcp.inbox.have(6000)
            assert await agent.end() == 0
    assert ledger.differences([record.message for record in tcp.inbox.records]) == ""
    assert ledger.differences(messages(path)) == ""


async def test_a_signal_as_soon_as_the_engine_is_reached_ends_it_too(
    engine: SimulatedEngine, tmp_path: Path
) -> None:
    """While the containers there are, are still being looked at: twelve starts, status 0 each time."""
    for number in range(40):
        engine.create(f"web-{number}").start()
    agent = Agent(engine.docker_host, tmp_path, {"file": f"file://{tmp_path}/out.ndjson"})
    for _ in range(STARTS):
        async with agent, timed(5.0):
            assert await agent.end() == 0
    assert "this is a fault of Dockferry" not in agent.said()


async def test_a_signal_while_the_engine_is_waited_for_ends_it_with_status_0(tmp_path: Path) -> None:
    """There is nothing to drain."""
    agent = Agent(f"unix://{tmp_path}/no.sock", tmp_path, {"file": f"file://{tmp_path}/out.ndjson"})
    agent.launch()
    try:
        await until(lambda: "waiting for the Engine" in agent.said(), "it waits", told=agent.said)
        async with timed(5.0):
            assert await agent.end() == 0
    finally:
        agent.kill()


async def test_memory_mode_is_told_at_the_start_and_its_loss_at_the_end(
    engine: SimulatedEngine, web: Container, tmp_path: Path
) -> None:
    """How many, for which sink, in which span of time, why; what the other sink got is no loss."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    sinks = {"file": f"file://{path}?batch_age=50ms", "tcp": "tcp://127.0.0.1:1"}
    async with Agent(engine.docker_host, tmp_path, sinks, state="memory", shutdown_grace="200ms") as agent:
        assert "DOCKFERRY_STATE is memory: what is not delivered when the agent ends is lost" in agent.said()
        ledger.write(web, 500)
        await until(lambda: ledger.whole(messages(path)), "all lines in the file", told=agent.said)
        assert await agent.end() == 0
    assert agent.said().count("lost 500 records") == 1
    told = next(line for line in agent.said().splitlines() if "lost 500 records" in line)
    assert "for sink tcp between " in told
    assert told.endswith("shutdown_in_memory_mode")
    assert not agent.state.exists()
