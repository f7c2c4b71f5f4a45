"""The HTTP server, asked by a real client; and `health`, which asks a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from agent.errors import DockferryError, UsageError
from agent.http.ask import ask_health
from agent.http.server import MAX_CONNECTIONS, HttpServer
from agent.metrics import Metrics


@dataclass(frozen=True)
class FakeSink:
    """A sink's status, as the runner gives it."""

    state: str = "idle"
    since: float = 0.0
    last_success: float | None = None
    last_error: str | None = None
    retries: int = 0


@dataclass
class FakeStatus:
    """The agent's status, as app.py gives it."""

    engine_connected: bool = True
    engine: str = "Docker Engine 28.5.2"
    sinks: dict[str, FakeSink] = field(default_factory=lambda: {"loki": FakeSink()})
    spool_degraded: str | None = None


@pytest.fixture
def status() -> FakeStatus:
    return FakeStatus()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def server(status: FakeStatus, metrics: Metrics) -> AsyncIterator[HttpServer]:
    """Listening on some free port; its clock stands at 100 s."""
    async with HttpServer(("127.0.0.1", 0), status, metrics, now=lambda: 100.0) as server:
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
        await HttpServer((host, server.port), status, metrics).__aenter__()


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
