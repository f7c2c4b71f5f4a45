"""Health and metrics over HTTP, for Docker, Kubernetes and Prometheus. GET only, loopback by default.

| path     | answer                                                                                    |
|----------|-------------------------------------------------------------------------------------------|
| /        | who this is and how its sinks fare, JSON                                                  |
| /healthz | 200 while the event loop lives                                                            |
| /readyz  | 200 when the Engine answers and no sink has been in trouble for a minute; else 503, why   |
| /metrics | Prometheus's text format or OpenMetrics, as asked for                                     |

Nothing here is secret, and nothing changes the agent; it is still not meant for strangers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final, Self

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from agent import __version__
from agent.errors import UsageError
from agent.http.status import Status, reasons, sink_facts
from agent.metrics import Metrics
from agent.settings import show_address

MAX_CONNECTIONS: Final = 64
IDLE_S: Final = 75.0
CLOSE_S: Final = 1.0


class HttpServer:
    """Listens while its `async with` lasts.

    address  host and port; port 0: any free one, see `port`
    now      monotonic seconds, the clock of `status`'s times
    Entering raises UsageError when it cannot listen there.
    """

    def __init__(
        self,
        address: tuple[str, int],
        status: Status,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self.port = address
        self._status = status
        self._registry = metrics.registry
        self._now = now
        app = web.Application(middlewares=[_uncached])
        app.router.add_get("/", self._index)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=IDLE_S,
            lingering_time=CLOSE_S,  # a body is nothing that we wait for
            shutdown_timeout=CLOSE_S,
        )
        self._listener: asyncio.Server | None = None

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
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            return _TurnedAway()
        return server()

    async def _index(self, _: web.Request) -> web.Response:
        now = self._now()
        return _json(
            {
                "agent": "dockferry",
                "version": __version__,
                "engine": {"connected": self._status.engine_connected, "name": self._status.engine},
                "sinks": {name: sink_facts(sink, now) for name, sink in self._status.sinks.items()},
                "spool_degraded": self._status.spool_degraded,
                "paths": ["/healthz", "/readyz", "/metrics"],
            }
        )

    async def _healthz(self, _: web.Request) -> web.Response:
        return _json({"status": "ok", "version": __version__})

    async def _readyz(self, _: web.Request) -> web.Response:
        why = list(reasons(self._status, self._now()))
        body = {"ready": not why, "reasons": why, "spool_degraded": self._status.spool_degraded}
        return _json(body, status=503 if why else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


@web.middleware
async def _uncached(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    response = await handler(request)
    response.headers["Cache-Control"] = "no-store"
    return response


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body) + b"\n", status=status, content_type="application/json")
