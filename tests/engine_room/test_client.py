"""The Engine's API over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.engine.client import EngineClient, engine_clock, refusal
from agent.engine.endpoint import resolve
from agent.engine.version import EngineVersion
from agent.errors import EngineError, EngineRefused, EngineUnreachable
from agent.simulator import SimulatedEngine
from tests.receivers.certificates import PrivateCa

NS = 1_000_000_000


async def has_no_streams(engine: SimulatedEngine) -> None:
    """Return once every stream of the Engine has ended; TimeoutError after 5 s."""
    async with asyncio.timeout(5):
        while engine.streams:  # noqa: ASYNC110 - the Engine ends them at this loop's next turns
            await asyncio.sleep(0)


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_connecting_tells_who_answers(engine: SimulatedEngine, client: EngineClient) -> None:
    version = await client.connect()
    assert (version.api, version.engine, version.name) == ((1, 51), "28.5.2", "simulated")
    assert not version.podman
    assert client.version is version


async def test_the_version_is_agreed_on_anew_each_time(engine: SimulatedEngine, client: EngineClient) -> None:
    await client.connect()
    await engine.go_down()
    await engine.come_back(api_version="1.44", minimum_api_version="1.44", engine_version="25.0.0")
    assert (await client.connect()).api == (1, 44)
    await client.containers(all=True)
    assert engine.requests[-1].path == "/v1.44/containers/json"


async def test_a_proxy_that_forbids_all_it_can_still_tells_the_version(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """Tecnativa's with VERSION=0 and without INFO: `/_ping` and its headers remain."""
    engine.faults.refuse(403, route="version", count=None)
    engine.faults.refuse(403, route="info", count=None)
    version = await client.connect()
    assert (version.api, version.engine, version.name) == ((1, 51), "28.5.2", None)


async def test_an_engine_over_tcp(socket_path: str) -> None:
    async with (
        SimulatedEngine(socket_path, tcp_port=0) as engine,
        EngineClient(resolve({"DOCKER_HOST": engine.tcp_host}), docker={}) as client,
    ):
        assert (await client.connect()).name == "simulated"


@contextlib.asynccontextmanager
async def behind_tls(engine: SimulatedEngine, context: ssl.SSLContext) -> AsyncIterator[str]:
    """The Engine behind a TLS port: what DOCKER_HOST would say."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(
            engine.docker_host.removeprefix("unix://")
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pipe(reader, inner_writer))
            tasks.create_task(pipe(inner_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_certificates_are_shown_and_checked(engine: SimulatedEngine, tmp_path: Path) -> None:
    """As Docker's own client has them: ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH."""
    ca = PrivateCa(tmp_path)
    certificate, key = ca.client()
    certificate.rename(tmp_path / "cert.pem")
    key.rename(tmp_path / "key.pem")
    docker = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    async with (
        behind_tls(engine, ca.server(clients=True)) as host,
        EngineClient(resolve(docker | {"DOCKER_HOST": host}), docker={}) as client,
    ):
        assert (await client.connect()).name == "simulated"


async def test_an_impostor_is_not_trusted(engine: SimulatedEngine, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ca, other = PrivateCa(tmp_path), PrivateCa(tmp_path / "other")
    certificate, key = ca.client()
    certificate.rename(tmp_path / "cert.pem")
    key.rename(tmp_path / "key.pem")
    docker = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    async with (
        behind_tls(engine, other.server()) as host,
        EngineClient(resolve(docker | {"DOCKER_HOST": host}), docker={}) as client,
    ):
        with pytest.raises(EngineUnreachable, match="cannot trust"):
            await client.connect()


async def test_a_pinned_version_the_engine_refuses_is_told(engine: SimulatedEngine) -> None:
    async with EngineClient(
        resolve({"DOCKER_HOST": engine.docker_host}), docker={"DOCKER_API_VERSION": "1.99"}
    ) as client:
        with pytest.raises(EngineRefused, match=r"client version 1\.99 is too new"):
            await client.connect()


async def test_without_a_connection_there_is_no_version(client: EngineClient) -> None:
    with pytest.raises(EngineError, match="once it is connected"):
        _ = client.version


async def test_an_engine_that_is_not_there_is_unreachable(client: EngineClient) -> None:
    with pytest.raises(EngineUnreachable, match=r"docker\.sock does not exist"):
        await client.connect()


async def test_containers_are_listed_and_inspected(engine: SimulatedEngine, client: EngineClient) -> None:
    runs = engine.create("web", labels={"a": "b"}, env={"K": "V"}, tty=True)
    runs.start()
    engine.create("idle")
    await client.connect()
    assert [(s.name, s.running) for s in await client.containers(all=True)] == [
        ("idle", False),
        ("web", True),
    ]
    assert [s.id for s in await client.containers(all=False)] == [runs.id]
    facts = await client.inspect(runs.id)
    assert (facts.name, facts.labels, facts.env, facts.tty) == ("web", {"a": "b"}, {"K": "V"}, True)
    assert facts.running
    assert abs(facts.started_ns - time.time_ns()) < 10 * NS


async def test_the_engines_refusal_is_in_its_own_words(engine: SimulatedEngine, client: EngineClient) -> None:
    await client.connect()
    with pytest.raises(EngineRefused) as caught:
        await client.inspect("nope")
    assert caught.value.status == 404
    assert caught.value.message == "No such container: nope"


async def test_events_are_those_of_the_time_asked_for(engine: SimulatedEngine, client: EngineClient) -> None:
    """Nanoseconds count: the event before is left out, the one at that very time is not."""
    first, second = engine.create("first"), engine.create("second")
    since = next(event.at for event in engine.events.recent if event.id == second.id)
    await client.connect()
    async with client.events(since) as events:
        second.start()
        got = [await anext(events) for _ in range(2)]
    assert [(event.action, event.id) for event in got] == [("create", second.id), ("start", second.id)]
    assert first.id not in {event.id for event in got}


async def test_the_engine_sends_no_health_checks(engine: SimulatedEngine, client: EngineClient) -> None:
    """They are left out by the Engine itself: a flood of them would push out what counts."""
    container = engine.create("web")
    container.start()
    await client.connect()
    async with client.events(await client.now_ns()) as events:
        container.check_health(times=300)
        container.finish(3)
        event = await anext(events)
    assert (event.action, event.attributes["exitCode"]) == ("die", "3")
    asked = next(request for request in engine.requests if request.path.endswith("/events"))
    assert '"die"' in asked.query["filters"]


async def test_podman_is_asked_for_all_that_happens_to_containers(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """Its filters know other names for it."""
    client._version = replace(await client.connect(), podman=True)
    async with client.events():
        pass
    assert engine.requests[-1].query["filters"] == '{"type":["container"]}'


async def test_a_streams_end_is_the_end_of_its_connection(socket_path: str, client: EngineClient) -> None:
    """It is asked for in HTTP/1.0: no chunks. Were the connection to be kept, the end would not show."""
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nbare")
        writer.close()

    async with (
        await asyncio.start_unix_server(serve, socket_path),
        client.stream_logs("web", since=None, tail=None, follow=True) as chunks,
    ):
        assert await read(chunks) == b"bare"
    assert heads[0].splitlines()[0].endswith(b" HTTP/1.0")
    assert b"\r\nConnection: close\r\n" in heads[0]


async def test_what_is_no_event_is_a_lost_connection(socket_path: str, client: EngineClient) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n<html>504 Gateway Time-out\n")
        writer.close()

    client._version = EngineVersion((1, 51), "28.5.2", None, podman=False)
    async with await asyncio.start_unix_server(serve, socket_path), client.events() as events:
        with pytest.raises(EngineUnreachable, match="504 Gateway"):
            await anext(events)


async def test_a_log_is_read_to_its_end(engine: SimulatedEngine, client: EngineClient) -> None:
    container = engine.create("web")
    container.start()
    await client.connect()
    async with client.stream_logs(container.id, since=None, tail=None, follow=True) as chunks:
        container.write(b"one\n", at=NS)
        container.write(b"two\n", "stderr", at=2 * NS)
        container.finish()
        body = await read(chunks)
    one = b"\x01\0\0\0\0\0\0\x231970-01-01T00:00:01.000000000Z one\n"
    assert body == one + b"\x02\0\0\0\0\0\0\x231970-01-01T00:00:02.000000000Z two\n"


async def test_a_log_is_asked_for_exactly(engine: SimulatedEngine, client: EngineClient) -> None:
    container = engine.create("web")
    await client.connect()
    async with client.stream_logs(container.id, since="1.5", until="2", tail=7, follow=False) as chunks:
        assert await read(chunks) == b""
    query = dict(engine.requests[-1].query)
    assert query == {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": "0",
        "since": "1.5",
        "until": "2",
        "tail": "7",
    }


async def test_a_log_that_cannot_be_read_is_refused(engine: SimulatedEngine, client: EngineClient) -> None:
    container = engine.create("web", driver="none")
    await client.connect()
    with pytest.raises(EngineRefused, match="does not support reading") as caught:
        async with client.stream_logs(container.id, since=None, tail=None, follow=True):
            pass
    assert caught.value.status == 501


async def test_leaving_a_stream_frees_the_engine(engine: SimulatedEngine, client: EngineClient) -> None:
    container = engine.create("web")
    container.start()
    await client.connect()
    async with client.stream_logs(container.id, since=None, tail=None, follow=True):
        assert len(engine.streams) == 1
    await has_no_streams(engine)


async def test_a_cancelled_reader_leaves_nothing_open(engine: SimulatedEngine, client: EngineClient) -> None:
    container = engine.create("web")
    container.start()
    await client.connect()
    opened = asyncio.Event()

    async def follow() -> None:
        async with client.stream_logs(container.id, since=None, tail=None, follow=True) as chunks:
            opened.set()
            await read(chunks)

    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(follow())
        await opened.wait()
        reader.cancel()
    await has_no_streams(engine)


async def test_an_engine_that_stays_silent_is_unreachable(engine: SimulatedEngine) -> None:
    engine.faults.delay(30, route="version")
    endpoint = resolve({"DOCKER_HOST": engine.docker_host})
    async with EngineClient(endpoint, docker={}, connect_timeout=0.3) as client:
        with pytest.raises(EngineUnreachable):
            await client.connect()


async def test_the_engines_clock_is_asked_for(engine: SimulatedEngine, client: EngineClient) -> None:
    before = time.time_ns()
    assert before <= await client.now_ns() <= time.time_ns()


@pytest.mark.parametrize(
    ("date", "ours", "clock"),
    [
        (None, 5 * NS + 1, 5 * NS + 1),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 6 * NS + 1, 6 * NS + 1),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 3 * NS, 3 * NS),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 8 * NS, 5 * NS),
        ("Thu, 01 Jan 1970 00:00:50 GMT", 8 * NS, 50 * NS),
        ("yesterday", 8 * NS, 8 * NS),
    ],
)
def test_our_clock_is_used_while_it_agrees(date: str | None, ours: int, clock: int) -> None:
    assert engine_clock(date, ours) == clock


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message":"No such container: x"}\n', "No such container: x"),
        (b'{"cause":"c","message":"no container x","response":404}', "no container x"),
        (b"<html><body><h1>403 Forbidden</h1></body></html>", "Forbidden (GET /info)"),
        (b"", "Forbidden (GET /info)"),
        (b'["message"]', "Forbidden (GET /info)"),
        (b'{"message":""}', "Forbidden (GET /info)"),
    ],
)
def test_a_refusal_is_read_from_whoever_answered(body: bytes, text: str) -> None:
    assert refusal(body, "Forbidden (GET /info)") == text
