"""What faults do to streams, on the wire."""

import asyncio

import pytest
from aiohttp import HttpVersion10

from agent.simulator import Container, SimulatedEngine
from tests.simulator.client import DEADLINE_SECONDS, Client, frames, texts

FRAME = 8


@pytest.mark.parametrize("cut_at", [0, 3, FRAME, FRAME + 2, FRAME + 4])
async def test_a_stream_cut_cleanly_ends_anywhere(
    simulated: SimulatedEngine, web: Container, client: Client, cut_at: int
) -> None:
    """In mid-frame too; once."""
    web.write(b"one\ntwo\n")
    simulated.faults.cut(cut_at)
    whole = b"\x01\0\0\0\0\0\0\x04one\n\x01\0\0\0\0\0\0\x04two\n"
    assert await (await client.follow("web")).rest() == whole[:cut_at]
    assert await client.logs("web") == whole


async def test_a_stream_that_is_reset_breaks_off(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """Its body has no end."""
    web.write(b"one\n")
    simulated.faults.cut(10, reset=True, container=web)
    assert await (await client.follow("web")).broken_rest() == b"\x01\0\0\0\0\0\0\x04on"


async def test_an_open_stream_is_cut_at_once(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """Whether or not there is something to send."""
    logs, events, live = await client.follow("web"), await client.events(), await client.attach("web")
    simulated.faults.cut(route="logs")
    assert await logs.rest() == b""
    simulated.faults.cut(route="events", reset=True)
    assert await events.broken_rest() == b""
    simulated.faults.cut(3, route="attach")
    web.write(b"hello\n")
    assert await live.rest() == b"\x01\0\0"


@pytest.mark.parametrize("idle_only", [False, True])
async def test_a_time_limit_cuts_silent_streams_or_all(
    simulated: SimulatedEngine, web: Container, client: Client, *, idle_only: bool
) -> None:
    """As proxies do."""
    simulated.faults.cut_every(0.2, idle_only=idle_only)
    loop = asyncio.get_running_loop()
    opened = loop.time()
    quiet, busy = await client.events(), await client.follow("web")
    while loop.time() < opened + 0.6:
        web.write(b".\n")
        await asyncio.sleep(0.02)
    quiet_ended = asyncio.wait_for(quiet.broken_rest(), DEADLINE_SECONDS)
    assert await quiet_ended == b""
    assert (len(simulated.streams) == 1) is idle_only
    received = texts(await busy.broken_rest())
    assert (len(received) > 12) is idle_only


async def test_a_hung_follow_stays_silent_and_open(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """Another finds everything."""
    simulated.faults.hang(1)
    reading = await client.follow("web")
    web.write(b"one\n")
    assert await reading.frame() == (1, b"one\n")
    web.write(b"two\n")
    web.finish()
    assert texts(await client.logs("web")) == [b"one\n", b"two\n"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reading.response.content.read(1)
    assert len(simulated.streams) == 1


async def test_a_follow_repeats_and_skips_what_others_read_once(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """As around rotations."""
    web.write(b"".join(b"%d\n" % n for n in range(6)))
    simulated.faults.repeat(2, after=3)
    simulated.faults.skip(2, after=4)
    reading = await client.follow("web")
    web.write(b"6\n")
    web.finish()
    assert b"".join(texts(await reading.rest())).split() == [b"0", b"1", b"2", b"1", b"2", b"3", b"6"]
    assert b"".join(texts(await client.logs("web"))).split() == [b"%d" % n for n in range(7)]


@pytest.mark.parametrize("tty", [False, True])
async def test_an_error_of_the_daemon_is_in_the_stream(
    simulated: SimulatedEngine, client: Client, *, tty: bool
) -> None:
    """A frame of type 3, without a time; bare in a terminal's. The stream ends there."""
    container = simulated.create("web", tty=tty)
    container.start()
    container.write(b"one\ntwo\n", at=0)
    simulated.faults.report_error("unexpected EOF", after=1)
    body = await (await client.follow("web", timestamps="1")).rest()
    line, error = b"1970-01-01T00:00:00.000000000Z one", b"Error grabbing logs: unexpected EOF\n"
    if tty:
        assert body == line + b"\r\n" + error
    else:
        assert list(frames(body)) == [(1, line + b"\n"), (3, error)]


async def test_a_damaged_file_is_readable_by_tail_only(web: Container, client: Client) -> None:
    """The Engine says nothing of it."""
    web.write(b"before\n", at=1_000_000_000)
    web.damage_log()
    web.write(b"after\n", at=2_000_000_000)
    assert texts(await client.logs("web")) == [b"before\n"]
    assert await client.logs("web", since="2") == b""
    assert texts(await client.logs("web", tail="1")) == [b"after\n"]


async def test_over_http_1_0_a_cut_is_the_end(
    simulated: SimulatedEngine, web: Container, socket_path: str
) -> None:
    """There is nothing to tell them apart by."""
    web.write(b"one\n")
    simulated.faults.cut(5, reset=True)
    async with Client(socket_path, HttpVersion10) as client:
        assert await (await client.follow("web")).rest() == b"\x01\0\0\0\0"
