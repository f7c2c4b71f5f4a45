"""The HTTP server, asked by a real client; and `health`, which asks a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest

from agent.errors import DockferryError, UsageError
from agent.http.ask import ask_health
from agent.http.letters import ReadLetters
from agent.http.server import MAX_CONNECTIONS, HttpServer
from agent.http.tap import MAX_CLIENTS, WAITING_BYTES
from agent.metrics import Metrics
from agent.options import Secret
from tests.http.fakes import FakeLetters, FakeReader, FakeSink, FakeSpool, FakeStatus, batch, container


def serving(
    status: FakeStatus,
    metrics: Metrics,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    spool: FakeSpool | None = None,
    letters: ReadLetters = lambda _sink, _limit: FakeLetters(),
    token: str | None = None,
) -> HttpServer:
    """A server to be entered; its clock stands at 100 s."""
    return HttpServer(
        (host, port),
        status,
        metrics,
        tapped=spool or FakeSpool(),
        letters=letters,
        token=None if token is None else Secret(token),
        now=lambda: 100.0,
        first_s=0.0,
    )


@pytest.fixture
def status() -> FakeStatus:
    return FakeStatus()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def server(status: FakeStatus, metrics: Metrics) -> AsyncIterator[HttpServer]:
    """Listening on some free port; its clock stands at 100 s."""
    async with serving(status, metrics) as server:
        yield server


@pytest.fixture
async def client(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", timeout=timeout) as session:
        yield session


async def test_healthz_answers_while_the_loop_lives(
    client: aiohttp.ClientSession, status: FakeStatus
) -> None:
    """Whatever the Engine and the sinks do: restarting the agent would not mend them."""
    status.engine_connected = False
    async with client.get("/healthz") as answer:
        assert answer.status == 200
        assert (await answer.json())["status"] == "ok"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_readyz_says_why_not(client: aiohttp.ClientSession, status: FakeStatus) -> None:
    """Ready, then not, then ready again; a degraded spool is told but still ships."""
    async with client.get("/readyz") as answer:
        assert answer.status == 200
        assert await answer.json() == {"ready": True, "reasons": [], "spool_degraded": None}
    status.sinks["loki"] = FakeSink("held", since=0.0, last_error="401: no such user")
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert (await answer.json())["reasons"] == ["sink loki is held for 100 s: 401: no such user"]
    status.sinks["loki"] = FakeSink()
    status.spool_degraded = "disk full"
    async with client.get("/readyz") as answer:
        assert answer.status == 200
        assert (await answer.json())["spool_degraded"] == "disk full"


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("*/*", "text/plain; version=", b"\n"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0",
            b"# EOF\n",
        ),
    ],
)
async def test_metrics_come_as_the_scraper_asks(
    client: aiohttp.ClientSession, metrics: Metrics, accept: str, content_type: str, end: bytes
) -> None:
    """Prometheus's text format, or OpenMetrics."""
    metrics.delivered_records.labels("loki", "web").inc(7)
    async with client.get("/metrics", headers={"Accept": accept}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(content_type)
        body = await answer.read()
    assert b'dockferry_delivered_records_total{container="web",sink="loki"} 7.0' in body
    assert body.endswith(end)


async def test_the_index_tells_who_this_is(client: aiohttp.ClientSession) -> None:
    """For a person with curl."""
    async with client.get("/") as answer:
        facts = await answer.json()
    assert facts["agent"] == "dockferry"
    assert facts["engine"] == {"connected": True, "name": "Docker Engine 28.5.2"}
    assert facts["sinks"]["loki"]["state"] == "idle"
    for path in facts["paths"]:
        async with client.get(path) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/etc", 404)])
async def test_nothing_else_is_answered(
    client: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    """Nothing changes the agent from here."""
    async with client.request(method, path) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "Address already in use"),
        ("192.0.2.1", "Cannot assign requested address"),
        ("no host", ".+"),
    ],
)
async def test_an_address_that_cannot_be_had_is_said_so(
    server: HttpServer, status: FakeStatus, metrics: Metrics, host: str, why: str
) -> None:
    """With the variable, the address, and what to do."""
    said = rf"^DOCKFERRY_HTTP: cannot listen on {host}:{server.port}: {why}; set another address, or off$"
    with pytest.raises(UsageError, match=said):
        await serving(status, metrics, host=host, port=server.port).__aenter__()


async def test_connections_have_a_bound(server: HttpServer, client: aiohttp.ClientSession) -> None:
    """Those too many are closed at once; the earlier ones are served."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        stack.callback(writer.close)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
    async with client.get("/healthz") as answer:
        assert answer.status == 200


async def test_health_asks_the_agent(server: HttpServer) -> None:
    """What Docker's HEALTHCHECK runs, also for one that listens everywhere."""
    for host in ("127.0.0.1", "0.0.0.0"):
        assert '"ok"' in await asyncio.to_thread(ask_health, (host, server.port))


async def test_health_fails_when_nobody_answers() -> None:
    """One line that names the address."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(
        DockferryError, match=rf"no agent answers at http://127.0.0.1:{port}/healthz: .*refused"
    ):
        await asyncio.to_thread(ask_health, ("127.0.0.1", port))


async def test_health_fails_when_somebody_else_answers() -> None:
    """Some other server on that port is no agent in good health."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(DockferryError, match="answered 404: nope"):
            await asyncio.to_thread(ask_health, ("127.0.0.1", port))


def test_health_without_an_address_is_a_mistake() -> None:
    """`off` cannot be asked."""
    with pytest.raises(UsageError, match="DOCKFERRY_HTTP is off"):
        ask_health(None)


async def test_the_state_is_told(client: aiohttp.ClientSession, status: FakeStatus, metrics: Metrics) -> None:
    """Everything the page shows, in the shape of docs/status-page.md."""
    status.containers = [FakeReader(container("web", project="shop"), "attach"), FakeReader(container("api"))]
    status.sinks["loki"] = FakeSink("held", since=90.0, last_error="401: no such user", retries=3)
    metrics.lag_records.labels("loki").set(20)
    metrics.lag_bytes.labels("loki").set(3140)
    metrics.lag_seconds.labels("loki").set(1.5)
    metrics.refused_records.labels("loki", "web").inc(2)
    metrics.lost_records.labels("refused", "web", "loki").inc(2)
    metrics.lost_records.labels("spool_full", "web", "").inc(5)
    metrics.lost_records.labels("spool_full", "api", "").inc(6)
    metrics.memory_bytes.set(77)
    async with client.get("/api/state") as answer:
        told = await answer.json()
    assert told["shape"] == 1
    assert "history" not in told
    assert told["spool"] == {
        "disk_bytes": 0,
        "disk_max_bytes": 1 << 30,
        "memory_bytes": 77,
        "memory_max_bytes": 64 << 20,
        "degraded": None,
    }
    assert [(each["name"], each["mode"], each["project"]) for each in told["containers"]] == [
        ("api", "logs", None),
        ("web", "attach", "shop"),
    ]
    assert told["containers"][0]["last_record_seconds_ago"] is None
    (sink,) = told["sinks"]
    assert sink == sink | {
        "name": "loki",
        "state": "held",
        "for_seconds": 10.0,
        "last_error": "401: no such user",
        "retries": 3,
        "waiting_records": 20,
        "waiting_bytes": 3140,
        "lag_seconds": 1.5,
        "refused_records": 2,
        "delivered_records": 0,
    }
    assert [(loss["cause"], loss["records"]) for loss in told["losses"]] == [
        ("spool_full", 11),
        ("refused", 2),
    ]
    assert told["losses"][0]["where"][0] == {"container": "api", "sink": None, "records": 6}
    assert told["tail"] == {"refused": None, "clients": 0}


@pytest.mark.parametrize(
    ("path", "code", "why"),
    [
        ("/api/state?since=x", 400, "since is not a tick"),
        ("/api/state?since=-1", 400, "since is not a tick"),
        ("/api/tail?level=loud", 400, "level is not one of"),
        ("/api/tail?colour=red", 400, "'colour' is not known"),
        ("/api/dead-letters?sink=nobody", 404, "there is no sink 'nobody'"),
        ("/api/dead-letters", 404, "there is no sink ''"),
        ("/api/dead-letters?sink=loki&limit=0", 400, "limit is not a whole number from 1 to 500"),
        ("/api/dead-letters?sink=loki&limit=٣", 400, "limit is not a whole number from 1 to 500"),
        ("/api/dead-letters?sink=loki&page=2", 400, "'page' is not known"),
        ("/page/nothing.js", 404, "there is no such file"),
    ],
)
async def test_a_question_that_is_not_understood_is_told_why(
    client: aiohttp.ClientSession, path: str, code: int, why: str
) -> None:
    async with client.get(path) as answer:
        assert answer.status == code
        assert why in (await answer.json())["error"]


async def test_dead_letters_are_read_for_one_at_a_time(status: FakeStatus, metrics: Metrics) -> None:
    """In a thread; what cannot be read is said so."""
    reading, most = 0, 0
    found = FakeLetters([{"why": "too old"}], more=True)

    def read(sink: str, limit: int) -> FakeLetters:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        assert threading.current_thread() is not threading.main_thread()
        if limit == 13:
            raise PermissionError(13, "Permission denied")
        reading -= 1
        return found

    async with serving(status, metrics, letters=read) as server:
        url = f"http://127.0.0.1:{server.port}/api/dead-letters?sink=loki"
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:

            async def ask() -> None:
                async with session.get(url) as answer:
                    assert await answer.json() == {
                        "sink": "loki",
                        "letters": [{"why": "too old"}],
                        "more": True,
                    }

            for number in range(8):
                group.create_task(ask(), name=f"ask {number}")
        assert most == 1
        async with aiohttp.ClientSession() as session, session.get(f"{url}&limit=13") as answer:
            assert answer.status == 500
            assert (await answer.json())["error"] == "the dead letters cannot be read: Permission denied"


async def _clients(server: HttpServer, count: int) -> None:
    """Return when so many tail."""
    while len(server._tap.clients) != count:  # noqa: ASYNC110 - a set tells nobody that it changed
        await asyncio.sleep(0.01)


async def _event(stream: aiohttp.StreamReader) -> dict[str, str]:
    """The next event."""
    fields: dict[str, str] = {}
    while True:
        line = (await stream.readline()).decode().rstrip("\n")
        assert line or fields or not stream.at_eof()
        if not line and "data" in fields:
            return fields
        name, _, value = line.partition(": ")
        fields[name] = value


async def test_lines_are_tailed_as_they_pass(status: FakeStatus, metrics: Metrics) -> None:
    """From the spool to a client; when the client goes, its place is free."""
    spool = FakeSpool()
    async with serving(status, metrics, spool=spool) as server, asyncio.timeout(20):
        url = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/api/tail?select=web") as answer:
                assert answer.content_type == "text/event-stream"
                await answer.content.readline()
                spool.put(batch(b"for another", of=container("api")), batch(b"hello"))
                event = await _event(answer.content)
                assert (event["event"], orjson.loads(event["data"])["lines"]) == ("lines", ["hello"])
                spool.put(batch(b"again"))
                assert orjson.loads((await _event(answer.content))["data"])["lines"] == ["again"]
            await _clients(server, 0)
            spool.put(batch(b"while away"))
            headers = {"Last-Event-ID": event["id"]}
            async with session.get(f"{url}/api/tail", headers=headers) as answer:
                lines = orjson.loads((await _event(answer.content))["data"])["lines"]
                assert lines == ["again", "while away"]


async def test_too_many_tails_are_turned_away(status: FakeStatus, metrics: Metrics) -> None:
    async with serving(status, metrics) as server, contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{server.port}/api/tail"
        for _ in range(MAX_CLIENTS):
            answer = await stack.enter_async_context(session.get(url))
            assert answer.status == 200
        async with session.get(url) as answer:
            assert answer.status == 503
            assert "8 clients tail already" in (await answer.json())["error"]


async def test_a_client_that_takes_nothing_holds_nobody_up(status: FakeStatus, metrics: Metrics) -> None:
    """Neither whoever puts, nor the end of the server, nor another client; what waits for it is bounded."""
    spool = FakeSpool()
    async with asyncio.timeout(30):
        async with serving(status, metrics, spool=spool) as server:
            _, stuck = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            stuck.write(b"GET /api/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
            url = f"http://127.0.0.1:{server.port}/api/tail?q=needle"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                await _clients(server, 2)
                for _ in range(200):
                    spool.put(batch(*[b"x" * 16_000] * 100))
                    await asyncio.sleep(0)
                spool.put(batch(b"a needle"))
                while "needle" not in (await _event(answer.content))["data"]:
                    pass
            waiting = [client._queue._bytes for client in server._tap.clients]
            assert max(waiting) <= WAITING_BYTES
        stuck.close()


async def test_the_first_to_look_is_told_rates_too(metrics: Metrics) -> None:
    """After a moment, in which they are taken: `curl` asks once."""
    status = FakeStatus(containers=[FakeReader(container("web"))])
    letters: ReadLetters = lambda _sink, _limit: FakeLetters()  # noqa: E731
    read = metrics.read_records.labels("web", "stdout")
    read.inc(1_000_000)
    async with (
        HttpServer(("127.0.0.1", 0), status, metrics, tapped=FakeSpool(), letters=letters) as server,
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):

        async def write() -> None:
            while True:
                read.inc()
                await asyncio.sleep(0.01)

        writing = group.create_task(write(), name="write")
        async with session.get(f"http://127.0.0.1:{server.port}/api/state") as answer:
            (web,) = (await answer.json())["containers"]
        writing.cancel()
    assert 0 < web["records_per_second"] < 1000
