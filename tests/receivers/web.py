"""Strict receivers over HTTP: one that takes the record as JSON; the ground for those of other protocols.

Each answers by `script` first, then as its protocol demands. A request that breaks a rule of HTTP or of its
format is a fault, which whoever waits for records gets to see.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import cramjam
from aiohttp import web

from tests.receivers.proxy import reset
from tests.receivers.received import Faulty, Inbox, Received, in_order, read_line, read_record

GIVE_UP_AFTER_BYTES = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver says instead of what it would.

    store   whether it keeps what it was sent (a 500 may come after the work was done)
    delay   seconds before it answers
    cut     it resets the connection after the first bytes of the body, and answers nothing
    """

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    store: bool = False
    delay: float = 0.0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What came, for a test to look at."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class WebReceiver(abc.ABC):
    """A server on loopback that keeps what it accepts in `inbox`.

    script         answers to the next requests that carry records, first come first served
    authorization  what the header of that name has to be; None: it must not be there
    most_bytes     longest body, as sent; beyond: 413
    poison         a message it refuses: 400 for the request that has it, nothing of which is kept
    """

    good = 200

    def __init__(self, *, authorization: str | None = None, most_bytes: int = 1 << 30) -> None:
        self.inbox = Inbox()
        self.script: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.authorization = authorization
        self.most_bytes = most_bytes
        self.poison: str | None = None
        self.port = 0

    @contextlib.asynccontextmanager
    async def listening(
        self, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
    ) -> AsyncIterator[Self]:
        """Serve until the block ends, on `self.port`, the same again when listening anew."""
        server = web.Server(self._handle, auto_decompress=False)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, self.port, ssl_context=tls)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    @abc.abstractmethod
    def read(self, request: Request) -> tuple[list[Received], Answer]:
        """The records in a request, and what the protocol answers. Raises Faulty."""

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return self._authorized(request) or web.Response(status=204)
        if self.script and self.script[0].cut:
            self.script.popleft()
            await request.content.read(GIVE_UP_AFTER_BYTES)
            assert request.transport is not None
            reset(request.transport)
            return web.Response()
        body = await request.content.read(-1)
        seen = Request(request.method, request.path_qs, request.headers, body)
        self.requests.append(seen)
        refusal = self._authorized(request) or self._too_long(body)
        if refusal is not None:
            return refusal
        return await self._answer(seen)

    async def _answer(self, seen: Request) -> web.Response:
        try:
            records, answer = self.read(seen)
        except (Faulty, ValueError, LookupError, TypeError) as error:
            self.inbox.fault(error)
            return web.Response(status=400, text=repr(error))
        if self.script and records:
            answer = self.script.popleft()
            records = records if answer.store or answer.status < 300 else []
        elif self.poison is not None and self.poison in [record.message for record in records]:
            answer, records = Answer(400, "poison"), []
        if answer.delay:
            await asyncio.sleep(answer.delay)
        self.inbox.add(records)
        return web.Response(status=answer.status, text=answer.body or None, headers=answer.headers)

    def _authorized(self, request: web.BaseRequest) -> web.Response | None:
        """A refusal that repeats what it was sent, as some do: the agent has to hide that."""
        given = request.headers.get("Authorization")
        if given == self.authorization:
            return None
        return web.Response(status=401, text=f"not allowed: {given}")

    def _too_long(self, body: bytes) -> web.Response | None:
        return web.Response(status=413, text="too long") if len(body) > self.most_bytes else None


class HttpReceiver(WebReceiver):
    """Takes the record as NDJSON or as a JSON array, at `/logs`."""

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if request.method not in {"POST", "PUT"} or request.path.partition("?")[0] != "/logs":
            raise Faulty(f"{request.method} {request.path}")
        body = _decoders()[request.headers.get("Content-Encoding", "identity")](request.body)
        match request.headers["Content-Type"]:
            case "application/x-ndjson":
                if not body.endswith(b"\n"):
                    raise Faulty("the last line has no end")
                records = [read_line(line) for line in body[:-1].split(b"\n")]
            case "application/json":
                records = [read_record(record) for record in json.loads(body, object_pairs_hook=in_order)]
            case other:
                raise Faulty(f"Content-Type: {other}")
        return records, Answer(self.good)


def _decoders() -> Mapping[str, Callable[[bytes], bytes]]:
    return {
        "identity": bytes,
        "gzip": lambda data: zlib.decompress(data, wbits=31),
        "zstd": lambda data: bytes(cramjam.zstd.decompress(data)),
    }
