"""The Engine and its containers in trouble. Trouble at random, by the minute, is `make chaos`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.simulator import SimulatedEngine, SteppableClock
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import Agent, until
from tests.engine.shipping import messages

pytestmark = pytest.mark.chaos
HOUR_S = 3600


async def test_containers_made_after_the_clock_was_set_back_are_read_whole(
    engine: SimulatedEngine, clock: SteppableClock, tmp_path: Path
) -> None:
    """Though they seem older than the agent; also by an agent that is started only then."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    async with Agent(engine.docker_host, tmp_path, {"file": f"file://{path}?batch_age=50ms"}) as agent:
        clock.step(-HOUR_S)
        for name in ("seen", "while-away"):
            container = engine.create(name)
            container.start()
            ledger.write(container, 100)
            await until(lambda: ledger.whole(messages(path)), "its lines", told=agent.said)
            agent.kill()
            ledger.write(container, 100)
            await agent.begin()
        await until(lambda: ledger.whole(messages(path)), "the last lines", told=agent.said)
        assert await agent.end() == 0
    assert ledger.differences(messages(path)) == ""


async def test_what_happened_between_two_runs_is_found_though_the_engine_forgot_it(
    engine: SimulatedEngine, tmp_path: Path
) -> None:
    """300 health events push starts, ends and renames out of the Engine's memory."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    old, restarted = engine.create("old"), engine.create("restarted")
    async with Agent(engine.docker_host, tmp_path, {"file": f"file://{path}?batch_age=50ms"}) as agent:
        for container in (old, restarted):
            container.start()
            ledger.write(container, 50)
        await until(lambda: ledger.whole(messages(path)), "the first lines", told=agent.said)
        agent.kill()
        ledger.write(old, 50)
        old.finish()
        old.rename("renamed")
        ledger.write(restarted, 50)
        restarted.restart()
        new = engine.create("new")
        new.start()
        ledger.write(new, 50)
        new.finish()
        restarted.check_health(75)
        await agent.begin()
        await until(lambda: ledger.whole(messages(path)), "the lines between", told=agent.said)
        assert await agent.end() == 0
    assert ledger.differences(messages(path)) == ""


async def test_a_proxy_that_allows_only_get_and_cuts_every_stream_each_second_costs_nothing(
    engine: SimulatedEngine, tmp_path: Path
) -> None:
    """Events and logs alike, for six seconds, while containers come."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    engine.faults.forbid_post()
    engine.faults.cut_every(1.0)
    async with Agent(engine.docker_host, tmp_path, {"file": f"file://{path}?batch_age=50ms"}) as agent:
        for number in range(12):
            container = engine.create(f"web-{number}")
            container.start()
            for each in engine.containers:
                ledger.write(each, 10)
            await asyncio.sleep(0.5)
        await until(lambda: ledger.whole(messages(path)), "every line", told=agent.said)
        assert await agent.end() == 0
    assert ledger.differences(messages(path)) == ""
    assert {request.method for request in engine.requests} <= {"GET", "HEAD"}


async def test_a_restart_of_the_daemon_as_an_older_version_is_gone_along_with(
    engine: SimulatedEngine, tmp_path: Path
) -> None:
    """Its API is another: what was negotiated before would be refused."""
    ledger, path = Ledger(), tmp_path / "out.ndjson"
    container = engine.create("web")
    container.start()
    async with Agent(engine.docker_host, tmp_path, {"file": f"file://{path}?batch_age=50ms"}) as agent:
        ledger.write(container, 100)
        await until(lambda: ledger.whole(messages(path)), "the first lines", told=agent.said)
        await engine.go_down()
        await until(lambda: "waiting for the Engine" in agent.said(), "it tells", told=agent.said)
        ledger.write(container, 100)
        await engine.come_back(api_version="1.43", engine_version="24.0.9")
        ledger.write(container, 100)
        await until(lambda: ledger.whole(messages(path)), "the lines since", told=agent.said)
        assert await agent.end() == 0
    assert ledger.differences(messages(path)) == ""
    assert "connected to Docker Engine 24.0.9, API 1.43" in agent.said()
