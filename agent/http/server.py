"""Health, metrics and the status page over HTTP. GET only, loopback by default; nothing here changes the agent.

| path              | answer                                                                                   |
|-------------------|------------------------------------------------------------------------------------------|
| /                 | the status page for a browser, else who this is and how its sinks fare, JSON             |
| /healthz          | 200 while the event loop lives                                                           |
| /readyz           | 200 when the Engine answers and no sink has been in trouble for a minute; else 503, why  |
| /metrics          | Prometheus's text format or OpenMetrics, as asked for                                    |
| /api/state        | how everything fares, JSON: see `state`                                                  |
| /api/tail         | log lines as they pass: see `tail`                                                       |
| /api/dead-letters | what a receiver refused, and why                                                         |
| /page/…           | the page's own files                                                                     |

Who may ask what: see `guard`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Self

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from agent import __version__
from agent.errors import UsageError
from agent.http.assets import ASSETS, INDEX, PREFIX
from agent.http.guard import Guard, middleware, refusal, secure, wants_page
from agent.http.letters import ReadLetters, dead_letters
from agent.http.samples import EVERY_S, FIRST_S, Samples
from agent.http.state import State
from agent.http.status import Status, reasons, sink_facts
from agent.http.tail import tail
from agent.http.tap import Tap, Tapped
from agent.metrics import Metrics
from agent.options import Secret
from agent.settings import show_address
from agent.supervise import supervise

MAX_CONNECTIONS: Final = 64
IDLE_S: Final = 75.0
CLOSE_S: Final = 1.0


class HttpServer:
    """Listens while its `async with` lasts.

    address  host and port; port 0: any free one, see `port`
    tapped   what is listened to while somebody tails
    letters  reads dead letters
    token    what is asked for; None: nothing, but then log lines are shown on loopback only
    now      monotonic seconds, the clock of `status`'s times
    first_s  how long who looks first waits for rates
    Entering raises UsageError when it cannot listen there.
    """

    def __init__(
        self,
        address: tuple[str, int],
        status: Status,
        metrics: Metrics,
        *,
        tapped: Tapped,
        letters: ReadLetters,
        token: Secret | None = None,
        now: Callable[[], float] = time.monotonic,
        first_s: float = FIRST_S,
    ) -> None:
        self._host, self.port = address
        self._status = status
        self._metrics = metrics
        self._letters = letters
        self._now = now
        self._first_s = first_s
        self._tap = Tap(tapped)
        self._samples = Samples(metrics)
        self._state = State(status, metrics, self._samples, began=now())
        self._guard = Guard(self._host, token, frozenset(ASSETS))
        self._reading = asyncio.Semaphore(1)
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,  # who tails and goes leaves at once
            keepalive_timeout=IDLE_S,
            lingering_time=CLOSE_S,  # a body is nothing that we wait for
            shutdown_timeout=CLOSE_S,
        )
        self._listener: asyncio.Server | None = None
        self._tasks = asyncio.TaskGroup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[middleware(self._guard)])
        app.on_response_prepare.append(secure)
        app.router.add_get("/", self._index)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        app.router.add_get("/api/state", self._state_page)
        app.router.add_get("/api/tail", self._tail)
        app.router.add_get("/api/dead-letters", self._dead_letters)
        app.router.add_get(PREFIX + "{name}", self._asset)
        return app

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._connection, self._host, self.port, backlog=16)
        except OSError as error:
            await self._runner.cleanup()
            # asyncio writes its own sentence into strerror; those of getaddrinfo have numbers below 0.
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            where = show_address(self._host, self.port)
            raise UsageError(
                f"DOCKFERRY_HTTP: cannot listen on {where}: {why}; set another address, or off"
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]
        self._guard.loopback = all(map(_is_loopback, self._listener.sockets))
        await self._tasks.__aenter__()
        self._sampling = self._tasks.create_task(
            supervise("status page", self._sample, self._metrics), name="status page"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
        self._tap.close()
        self._sampling.cancel()
        await self._tasks.__aexit__(None, None, None)
        await self._runner.cleanup()

    def _connection(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            return _TurnedAway()
        return server()

    async def _sample(self) -> None:
        while True:
            self._samples.take(self._now())
            await asyncio.sleep(EVERY_S)

    async def _index(self, request: web.Request) -> web.Response:
        if wants_page(request):
            return _asset(INDEX)
        now = self._now()
        return _json(
            {
                "agent": "dockferry",
                "version": __version__,
                "engine": {"connected": self._status.engine_connected, "name": self._status.engine},
                "sinks": {name: sink_facts(sink, now) for name, sink in self._status.sinks.items()},
                "spool_degraded": self._status.spool_degraded,
                "paths": ["/healthz", "/readyz", "/metrics", "/api/state"],
            }
        )

    async def _asset(self, request: web.Request) -> web.Response:
        if request.path not in ASSETS:
            raise refusal(web.HTTPNotFound, "there is no such file")
        return _asset(request.path)

    async def _healthz(self, _: web.Request) -> web.Response:
        return _json({"status": "ok", "version": __version__})

    async def _readyz(self, _: web.Request) -> web.Response:
        why = list(reasons(self._status, self._now()))
        body = {"ready": not why, "reasons": why, "spool_degraded": self._status.spool_degraded}
        return _json(body, status=503 if why else 200)

    async def _metrics_page(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})

    async def _state_page(self, request: web.Request) -> web.Response:
        since = request.query.get("since")
        if since is not None and not (since.isascii() and since.isdecimal()):
            raise refusal(web.HTTPBadRequest, "since is not a tick, a whole number")
        if not self._samples.rates(self._now()).known:
            await asyncio.sleep(self._first_s)
        answer = self._state.to_json(
            now=self._now(), clock_ns=time.time_ns(), since=None if since is None else int(since)
        )
        answer["tail"] = {"refused": self._guard.no_lines, "clients": len(self._tap.clients)}
        return _json(answer)

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        return await tail(request, self._tap)

    async def _dead_letters(self, request: web.Request) -> web.Response:
        async with self._reading:  # one at a time: threads are others' too
            return _json(await dead_letters(request.query, self._status.sinks, self._letters))


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


def _is_loopback(listening: socket.socket) -> bool:
    return ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def _asset(path: str) -> web.Response:
    asset = ASSETS[path]
    return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body) + b"\n", status=status, content_type="application/json")
