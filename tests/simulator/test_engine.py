"""The simulated Engine's own life: names, ids, going down and coming back."""

import asyncio

import aiohttp
import pytest

from agent.simulator import SimulatedEngine, State, SteppableClock
from tests.simulator.client import Client, texts


async def test_ids_are_decided_by_the_seed(socket_path: str) -> None:
    """64 hexadecimal digits."""
    ids = []
    for seed in (7, 7, 8):
        async with SimulatedEngine(socket_path, seed=seed) as simulated:
            ids.append(simulated.create("web").id)
    assert ids[0] == ids[1] != ids[2]
    assert len(bytes.fromhex(ids[0])) == 32


async def test_a_name_is_taken_once(simulated: SimulatedEngine) -> None:
    """Until its container is removed or renamed."""
    first = simulated.create("web")
    with pytest.raises(ValueError, match="/web is already in use"):
        simulated.create("web")
    first.rename("old")
    second = simulated.create("web")
    with pytest.raises(ValueError, match="/old is already in use"):
        second.rename("old")
    first.remove()
    second.rename("old")


async def test_a_clock_that_steps_back_shows_in_the_log(socket_path: str) -> None:
    """Records come in the order in which they were written."""
    clock = SteppableClock(at=10**18)
    async with SimulatedEngine(socket_path, clock=clock) as simulated, Client(socket_path) as client:
        container = simulated.create("web")
        container.start()
        container.write(b"before\n")
        clock.step(-3600)
        container.write(b"after\n")
        stamped = texts(await client.logs("web", timestamps="1"))
    assert stamped == [
        b"2001-09-09T01:46:40.000000000Z before\n",
        b"2001-09-09T00:46:40.000000000Z after\n",
    ]


async def test_tcp_serves_the_same(socket_path: str) -> None:
    """On loopback, at a port of its choice."""
    async with SimulatedEngine(socket_path, tcp_port=0) as simulated, aiohttp.ClientSession() as session:
        url = simulated.tcp_host.replace("tcp://127.0.0.1:", "http://127.0.0.1:") + "/_ping"
        async with session.get(url) as response:
            assert await response.text() == "OK"
        await simulated.go_down()
        await simulated.come_back()
        async with session.get(url) as response:
            assert await response.text() == "OK"


async def test_when_it_goes_down_all_streams_break_off_and_nobody_is_served(
    simulated: SimulatedEngine, client: Client
) -> None:
    """The containers run on, and what they wrote is read when it is back."""
    container = simulated.create("web")
    container.start()
    readings = [await client.follow("web"), await client.events()]
    attached = await client.attach("web")
    async with asyncio.timeout(0.5):  # aiohttp would give them a second to end by themselves
        await simulated.go_down()
    for reading in readings:
        assert await reading.broken_rest() == b""
    assert await attached.rest() == b""
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.request("GET", "/_ping")
    container.write(b"meanwhile\n")
    await simulated.come_back()
    assert container.state is State.RUNNING
    assert texts(await client.logs("web")) == [b"meanwhile\n"]


async def test_a_restart_wipes_the_events_and_reports_no_start(
    simulated: SimulatedEngine, client: Client
) -> None:
    """As with live-restore."""
    simulated.create("web").start()
    await simulated.go_down()
    await simulated.come_back()
    listening = await client.events(since="1", until=str(simulated.now() // 10**9 + 1))
    assert await listening.rest() == b""


async def test_it_may_come_back_as_another_version(simulated: SimulatedEngine, client: Client) -> None:
    """Upgraded in between."""
    await simulated.go_down()
    await simulated.come_back(api_version="1.52", minimum_api_version="1.44", engine_version="29.0.0")
    version = await client.json("/version")
    assert [version[key] for key in ("ApiVersion", "MinAPIVersion", "Version")] == ["1.52", "1.44", "29.0.0"]
    assert (await client.message("GET", "/v1.43/info"))[0] == 400


async def test_without_live_restore_containers_are_stopped_and_streams_have_their_end(
    simulated: SimulatedEngine, client: Client
) -> None:
    """First the containers, then the daemon."""
    container = simulated.create("web", restart_policy="always")
    container.start()
    logs, live = await client.follow("web"), await client.attach("web")
    container.write(b"last words")
    await simulated.go_down(live_restore=False)
    assert texts(await logs.rest()) == [b"last words"]
    assert texts(await live.rest()) == [b"last words"]
    await simulated.come_back()
    assert (await client.json("/containers/web/json"))["State"]["Status"] == "exited"


async def test_after_a_crash_without_live_restore_containers_are_found_and_stopped(
    simulated: SimulatedEngine, client: Client
) -> None:
    """Those that were waiting to be restarted too."""
    running, waiting = simulated.create("running"), simulated.create("waiting", restart_policy="always")
    running.start()
    waiting.start()
    waiting.finish(1)
    await simulated.go_down()
    running.write(b"meanwhile\n")
    await simulated.come_back(live_restore=False)
    assert {running.state, waiting.state} == {State.EXITED}
    assert texts(await client.logs("running")) == [b"meanwhile\n"]


async def test_leaving_it_does_not_wait_for_anybody(socket_path: str) -> None:
    """Streams, removals and readers that do not read included."""
    async with (
        Client(socket_path) as client,
        asyncio.timeout(5),
        SimulatedEngine(socket_path, removal_seconds=60) as simulated,
    ):
        container = simulated.create("web", auto_remove=True)
        container.start()
        container.write_many([b"x" * 1000] * 10_000)
        await client.follow("web")
        await client.attach("web")
        container.write(b"x" * 1_000_000)
        container.finish()
    assert simulated.streams == set()
