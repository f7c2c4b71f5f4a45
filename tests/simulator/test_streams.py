"""The answers that go on for a while: logs, live output, events."""

import asyncio
import socket
from collections.abc import Callable

from agent.simulator import Container, SimulatedEngine
from tests.simulator.client import DEADLINE_SECONDS, Client, frames, texts

FRAME = 8


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until this holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  (nobody tells when a connection is gone)
            await asyncio.sleep(0.001)


async def test_a_follow_gives_history_and_what_comes_until_the_exit(web: Container, client: Client) -> None:
    """And ends cleanly, the unfinished line included."""
    web.write(b"before\n")
    reading = await client.follow("web")
    assert await reading.frame() == (1, b"before\n")
    web.write(b"during\n", "stderr")
    assert await reading.frame() == (2, b"during\n")
    web.write(b"unfinished")
    web.finish()
    assert texts(await reading.rest()) == [b"unfinished"]


async def test_a_follow_answers_before_there_is_a_record(web: Container, client: Client) -> None:
    """As Engines since 26.1.4: a quiet container is no failed request."""
    reading = await client.follow("web")
    assert reading.response.status == 200
    web.finish()
    assert await reading.rest() == b""


async def test_while_following_a_chunk_is_a_record(web: Container, client: Client) -> None:
    """Each is written by itself."""
    reading = await client.follow("web")
    web.write(b"one\ntwo\n")
    assert [await reading.chunk() for _ in range(2)] == [
        b"\x01\0\0\0\0\0\0\x04one\n",
        b"\x01\0\0\0\0\0\0\x04two\n",
    ]


async def test_a_tty_s_chunks_are_its_only_borders(simulated: SimulatedEngine, client: Client) -> None:
    """Timestamps stand in the middle of a long line."""
    container = simulated.create("term", tty=True)
    container.start()
    container.write(b"x" * 16_384 + b"rest\n", at=1_000_000_000)
    for number in range(200):
        container.write(b"%d\n" % number, at=2_000_000_000)
    container.finish()
    reading = await client.follow("term", timestamps="1")
    stamp = b"1970-01-01T00:00:0%d.000000000Z "
    assert await reading.chunk() == stamp % 1 + b"x" * 16_384
    assert await reading.chunk() == stamp % 1 + b"rest\r\n"
    assert [await reading.chunk() for _ in range(200)] == [stamp % 2 + b"%d\r\n" % n for n in range(200)]


async def test_a_follow_of_a_restarting_container_ends_at_once(
    simulated: SimulatedEngine, client: Client
) -> None:
    """Though its state says that it runs."""
    container = simulated.create("loop", restart_policy="always")
    container.start()
    container.write(b"hello\n")
    container.finish(1)
    reading = await client.follow("loop")
    assert texts(await reading.rest()) == [b"hello\n"]


async def test_a_follow_gets_nothing_of_the_next_run(web: Container, client: Client) -> None:
    """A restart ends it."""
    reading = await client.follow("web", tail="0")
    web.write(b"first\n")
    web.restart()
    web.write(b"second\n")
    assert texts(await reading.rest()) == [b"first\n"]
    assert texts(await client.logs("web")) == [b"first\n", b"second\n"]


async def test_tail_and_since_of_a_follow_are_for_history(web: Container, client: Client) -> None:
    """Tail first, then since; both streams counted."""
    for second in (1, 2, 3):
        web.write(b"%d\n" % second, at=second * 1_000_000_000)
    reading = await client.follow("web", tail="2", since="3")
    web.write(b"older\n", at=1)
    web.finish()
    assert texts(await reading.rest()) == [b"3\n", b"older\n"]


async def test_many_readers_get_the_same(web: Container, client: Client) -> None:
    """Each the whole."""
    web.write_many([b"%d" % n for n in range(5000)])
    readings = [await client.follow("web") for _ in range(3)]
    web.write_many([b"%d" % n for n in range(5000, 6000)])
    web.finish()
    expected = [b"%d\n" % n for n in range(6000)]
    for reading in readings:
        assert texts(await reading.rest()) == expected


async def test_a_reader_that_leaves_is_forgotten(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """Whatever it read."""
    readings = [await client.follow("web"), await client.attach("web"), await client.events()]
    assert len(simulated.streams) == 3
    for reading in readings:
        reading.close()
    await until(lambda: not simulated.streams)
    assert web.attached == set()


async def test_the_bytes_of_logs_are_counted(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """Bodies, without the chunks' own."""
    web.write(b"12345\n")
    await client.logs("web")
    await client.logs("web", tail="0")
    assert simulated.log_bytes_sent == FRAME + 6


# --- attach


async def test_attach_gives_the_live_output_raw(web: Container, client: Client) -> None:
    """Not lines, nothing stored; until the exit."""
    web.write(b"before\n")
    reading = await client.attach("web")
    assert reading.response.headers["Content-Type"] == "application/vnd.docker.raw-stream"
    web.write(b"a\nb")
    web.write(b"c" * 40_000, "stderr")
    web.finish()
    assert list(frames(await reading.rest())) == [(1, b"a\nb"), (2, b"c" * 32_768), (2, b"c" * 7_232)]


async def test_attach_is_possible_before_the_start_and_after_the_exit(
    simulated: SimulatedEngine, client: Client
) -> None:
    """It waits for the next run, and misses nothing of it."""
    container = simulated.create("web")
    for _ in range(2):
        reading = await client.attach("web", stderr="0")
        container.start()
        container.write(b"unheard\n", "stderr")
        container.write(b"first\n")
        container.finish()
        assert texts(await reading.rest()) == [b"first\n"]


async def test_attach_with_logs_gives_the_stored_log_first(web: Container, client: Client) -> None:
    """With `stream=0` only that."""
    web.write(b"stored\n")
    assert texts(await (await client.attach("web", logs="1", stream="0")).rest()) == [b"stored\n"]
    reading = await client.attach("web", logs="1")
    web.write(b"live\n")
    web.finish()
    assert texts(await reading.rest()) == [b"stored\n", b"live\n"]


async def test_attach_to_a_tty_has_no_frames(simulated: SimulatedEngine, client: Client) -> None:
    """As a terminal shows it."""
    container = simulated.create("term", tty=True)
    container.start()
    reading = await client.attach("term")
    container.write(b"hello\n")
    container.finish()
    assert await reading.rest() == b"hello\r\n"


async def test_attach_upgrades_if_asked(web: Container, socket_path: str) -> None:
    """As the docker command line does."""
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(
        b"POST /containers/web/attach?stream=1&stdout=1 HTTP/1.1\r\n"
        b"Host: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await reader.readline()) == b"HTTP/1.1 101 UPGRADED\r\n"
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
        web.write(b"hello\n")
        web.finish()
        assert list(frames(await reader.read())) == [(1, b"hello\n")]
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_does_not_read_holds_up_nothing_and_is_seen(
    simulated: SimulatedEngine, web: Container, client: Client, socket_path: str
) -> None:
    """A real Engine would stop the process; here the backlog tells."""
    stalled = socket.socket(socket.AF_UNIX)
    stalled.connect(socket_path)
    stalled.sendall(b"POST /containers/web/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    await until(lambda: len(web.attached) == 1)
    reading = await client.attach("web")
    for _ in range(64):
        web.write(b"x" * 65_536)
    assert web.attached_backlog > 2_000_000
    web.finish()
    assert sum(map(len, texts(await reading.rest()))) == 64 * 65_536
    stalled.close()
    await until(lambda: not simulated.streams)


# --- events


async def test_events_replay_the_past_then_go_on(simulated: SimulatedEngine, client: Client) -> None:
    """By filter; old fields below API 1.52."""
    container = simulated.create("web", labels={"a": "b"})
    listening = await client.events(since="1", filters='{"type":["container"],"event":["create","die"]}')
    container.start()
    container.finish(3)
    assert (await listening.event())["status"] == "create"
    died = await listening.event()
    assert died["Actor"]["Attributes"] == {
        "a": "b",
        "execDuration": "0",
        "exitCode": "3",
        "image": "shop/web:1.0",
        "name": "web",
    }
    assert died["id"] == container.id


async def test_events_from_1_52_on_have_no_old_fields(socket_path: str) -> None:
    """Only for clients of that version."""
    async with SimulatedEngine(socket_path, api_version="1.52") as simulated, Client(socket_path) as client:
        simulated.create("web")
        for path, has_status in (("/events", False), ("/v1.51/events", True)):
            listening = await client.open(path, since="1")
            assert ("status" in await listening.event()) is has_status
            listening.close()


async def test_events_of_a_time_span_end(simulated: SimulatedEngine, client: Client) -> None:
    """Past or to come; without `since` nothing of the past."""
    simulated.create("web")
    now = simulated.now() / 10**9
    past = await client.events(since="1", until=f"{now + 0.2:.9f}")
    nothing = await client.events(until=f"{now:.9f}")
    assert (await past.event())["Action"] == "create"
    assert await past.rest() == b""
    assert await nothing.rest() == b""


async def test_a_flood_pushes_events_out_of_the_ring(
    simulated: SimulatedEngine, web: Container, client: Client
) -> None:
    """64 health checks are the whole ring."""
    web.check_health(64)
    listening = await client.events(
        since="1", until=str(simulated.now() // 10**9 + 1), filters='{"event":["start"]}'
    )
    assert await listening.rest() == b""


async def test_a_lost_event_is_heard_by_nobody(simulated: SimulatedEngine, client: Client) -> None:
    """Nor found later; the next is."""
    listening = await client.events(since="1")
    container = simulated.create("web")
    simulated.faults.lose_events("start")
    container.start()
    container.finish()
    assert [(await listening.event())["Action"] for _ in range(2)] == ["create", "die"]
    again = await client.events(since="1")
    assert [(await again.event())["Action"] for _ in range(2)] == ["create", "die"]
