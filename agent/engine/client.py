"""The Engine's HTTP API, as much of it as the agent uses.

    GET   /_ping                    is it there, its clock, its API version
    GET   /version                  its version (a proxy may forbid it)
    GET   /info                     its host's name (a proxy may forbid it)
    GET   /events                   what happens to containers
    GET   /containers/json          which containers there are
    GET   /containers/{id}/json     what is to be known of one
    GET   /containers/{id}/logs     its output
    GET   /containers/{id}/stats    what it uses (`DOCKFERRY_STATS` only)
    POST  /containers/{id}/attach   its output as it is written (source `attach` only)

Nothing is ever changed. Endless streams are HTTP/1.0 requests: their answer is the bare body, which costs a
fifth less CPU than chunks. What has an end is asked for in HTTP/1.1: its chunks tell whether it came whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from agent.batch import NS
from agent.engine.containers import ContainerFacts, Event, Summary, event_of, facts_of, meant, summary_of
from agent.engine.endpoint import Endpoint, explain, turned_away
from agent.engine.ssh import SshConnector, command
from agent.engine.version import EngineVersion, ask_version, engine_version, negotiate
from agent.errors import EngineError, EngineRefused, EngineUnreachable

_READ_BYTES: Final = 256 * 1024
_ANSWER_TIMEOUT_S: Final = 60.0
#: Engines 25.0 to 26.1.3 may keep a quiet container's headers back until its first line (moby #47448).
_HEADERS_TIMEOUT_S: Final = 300.0
#: While output comes fast it is left in the kernel for so long, then taken, until there is enough of it.
_GATHER_S: Final = 0.001
_GATHER_BUSY_S: Final = 0.0004  # needs `agent.loop`; any other loop makes a millisecond of it
_GATHER_MOST_S: Final = 0.01
_ENOUGH_BYTES: Final = 96 * 1024
_FAST_BYTES_PER_S: Final = 8e6
_BUSY_BYTES_PER_S: Final = 20e6
_CLOCK_TOLERANCE_NS: Final = 2 * NS
#: What Go's server says to whom speaks no TLS, with status 400 (net/http, `tlsRecordHeaderLooksLikeHTTP`).
_PLAIN: Final = b"sent an HTTP request to an HTTPS server"
_SPEAK_TLS: Final = "it speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
_ACTIONS: Final = ("create", "start", "die", "destroy", "rename")


class EngineClient:
    """One Engine. An async context manager; `connect()` before anything else, and again after each loss."""

    def __init__(
        self, endpoint: Endpoint, *, docker: Mapping[str, str], connect_timeout: float = 10.0
    ) -> None:
        self.endpoint = endpoint
        self._wanted_api = docker.get("DOCKER_API_VERSION") or None
        self._connect_timeout = connect_timeout
        self._version: EngineVersion | None = None
        self._prefix = ""
        self._connector: aiohttp.BaseConnector
        self._requests: aiohttp.ClientSession
        self._streams: aiohttp.ClientSession
        self._histories: aiohttp.ClientSession

    @property
    def version(self) -> EngineVersion:
        """The Engine as `connect()` found it last. Raises EngineError before that."""
        if self._version is None:
            raise EngineError("the Engine's version is known once it is connected")
        return self._version

    async def __aenter__(self) -> Self:
        connector = self._connector = self._make_connector()
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S, sock_connect=self._connect_timeout)
        endless = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout)
        headers = {"Accept-Encoding": "identity", "User-Agent": "dockferry"}
        self._requests = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)

        def endless_session(version: aiohttp.HttpVersion) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=connector,
                connector_owner=False,
                timeout=endless,
                headers=headers | {"Connection": "close"},  # else aiohttp asks to keep it open at the end
                version=version,
                read_bufsize=_READ_BYTES,
            )

        self._streams = endless_session(aiohttp.HttpVersion10)
        self._histories = endless_session(aiohttp.HttpVersion11)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection, streams under way included."""
        await self._streams.close()
        await self._histories.close()
        await self._requests.close()
        if isinstance(self._connector, SshConnector):
            await self._connector.end()

    def _make_connector(self) -> aiohttp.BaseConnector:
        endpoint = self.endpoint
        if endpoint.ssh is not None:
            return SshConnector(command(endpoint.ssh, self._connect_timeout))
        if endpoint.socket_path is not None:
            return aiohttp.UnixConnector(endpoint.socket_path, limit=0)
        return aiohttp.TCPConnector(ssl=endpoint.ssl if endpoint.ssl is not None else True, limit=0)

    async def connect(self) -> EngineVersion:
        """Find out who answers, and agree on the API version. Raises EngineError."""
        async with self._open(self._requests, "/_ping", versioned=False) as response:
            ping = response.headers
        answer: Mapping[str, Any] = {}
        if self.endpoint.ssh is None:
            answer = await asyncio.to_thread(ask_version, self.endpoint, self._connect_timeout)
        api = negotiate(self._wanted_api, answer, ping)
        self._prefix = f"/v{api[0]}.{api[1]}"
        self._version = engine_version(api, answer, ping, await self._name())
        return self._version

    async def _name(self) -> str | None:
        try:
            info = await self.get("/info")
        except EngineRefused as error:
            if error.status == 400:  # not what is asked is refused, but the version
                raise
            return None
        return info.get("Name") or None

    async def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        """The JSON answer to a GET of `path`. Raises EngineRefused, EngineUnreachable."""
        async with self._open(self._requests, path, params) as response:
            with _errors_of(self.endpoint):
                body = await response.read()
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise EngineUnreachable(f"the answer of {self.endpoint.said} to {path} is cut off") from error

    async def containers(self, *, all: bool) -> list[Summary]:
        """The containers that run, or `all` there are."""
        return [summary_of(entry) for entry in await self.get("/containers/json", all=str(int(all)))]

    async def inspect(self, id: str) -> ContainerFacts:
        """What is to be known of a container. EngineRefused 404: it is gone."""
        return facts_of(await self.get(f"/containers/{id}/json"))

    async def stats(self, id: str) -> bytes:
        """What a container uses, as the Engine says it: one look (API 1.41), else the second of two.

        Two looks take two seconds, one takes a second on Engine 20.10. Raises EngineRefused, EngineUnreachable.
        """
        params = {"stream": "false"} | ({"one-shot": "true"} if self.version.api >= (1, 41) else {})
        async with self._open(self._requests, f"/containers/{id}/stats", params) as response:
            with _errors_of(self.endpoint):
                return await response.read()

    async def now_ns(self) -> int:
        """The Engine's clock, ns since the epoch: ours if it agrees within 2 s, else to the second below."""
        async with self._open(self._requests, "/_ping", versioned=False) as response:
            date = response.headers.get("Date")
        return engine_clock(date, time.time_ns())

    @contextlib.asynccontextmanager
    async def events(self, since_ns: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        """What happens to containers from now on, and since `since_ns` (inclusive) as far as it remembers.

        Entered once the Engine has answered; ends when the connection does. Raises EngineError.
        """
        # Podman's own names for actions differ, in filters too.
        filters = {"type": ["container"]} | ({} if self.version.podman else {"event": list(_ACTIONS)})
        params = {"filters": orjson.dumps(filters).decode()}
        if since_ns is not None:
            params["since"] = f"{since_ns // NS}.{since_ns % NS:09d}"
        async with self._open(self._streams, "/events", params) as response:
            yield _Events(_Body(response, self.endpoint))

    def stream_logs(
        self,
        id: str,
        *,
        since: str | None,
        until: str | None = None,
        tail: int | None,
        follow: bool,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """A container's output, both streams, with timestamps, in chunks as they come.

        since, until  `seconds[.nanoseconds]`, inclusive; None: no bound
        tail          only so many records, the newest; None: all
        follow        stay until the container stops; ignored by the Engine for one that does not run
        Waits 300 s at most for the answer to begin, and for ever between chunks. Raises EngineRefused (404 no
        such container, 409 being removed, 501 the driver cannot be read) and EngineUnreachable, the latter
        also while it is read.
        """
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        params |= {name: text for name, text in (("since", since), ("until", until)) if text is not None}
        if tail is not None:
            params["tail"] = str(tail)
        session = self._streams if follow else self._histories
        return self._stream(session, f"/containers/{id}/logs", params)

    @contextlib.asynccontextmanager
    async def attach(self, id: str) -> AsyncIterator[Attached]:
        """A container's output from now on, or from its next start on if it does not run.

        Raises as `stream_logs` does; 409: it is paused, or waits to be restarted.
        """
        params = {"stream": "1", "stdout": "1", "stderr": "1"}
        async with self._open(self._streams, f"/containers/{id}/attach", params, method="POST") as response:
            connection = response.connection
            transport = connection.transport if connection else None
            by = transport.get_extra_info("socket") if transport else None
            yield Attached(_Body(response, self.endpoint), by)

    @contextlib.asynccontextmanager
    async def _stream(
        self, session: aiohttp.ClientSession, path: str, params: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._open(session, path, params) as response:
            yield _Body(response, self.endpoint)

    @contextlib.asynccontextmanager
    async def _open(
        self,
        session: aiohttp.ClientSession,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        versioned: bool = True,
        method: str = "GET",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self.endpoint.base_url + (self._prefix if versioned else "") + path
        with _errors_of(self.endpoint):
            async with asyncio.timeout(_HEADERS_TIMEOUT_S):
                response = await session.request(method, url, params=params, allow_redirects=False)
        try:
            if response.status != 200:
                raise await self._refusal(response, f"{method} {path}")
            yield response
        finally:
            response.release() if session is self._requests else response.close()

    async def _refusal(self, response: aiohttp.ClientResponse, asked: str) -> EngineRefused:
        with _errors_of(self.endpoint):
            async with asyncio.timeout(self._connect_timeout):
                body = await response.content.read(_READ_BYTES)
        message = refusal(body, f"{response.reason} ({asked})")
        return EngineRefused(meant(response.status, response.headers, message), message)


@dataclass(frozen=True, slots=True)
class Attached:
    """An attached stream: its bytes as they come, and the socket they come by; None where there is none.

    While nobody reads the bytes, the container's writes wait: shutting the socket down sets it free.
    """

    body: AsyncIterator[bytes]
    socket: socket.socket | None


class _Body:
    """The chunks of an answer as they come. An `anext` that is cancelled loses nothing.

    The Engine writes record by record, and a socket holds some 250 of them. While they come fast we let it fill
    before each read, and gather what several reads bring: many records at a time are what makes a line cheap.
    """

    __slots__ = ("_content", "_endpoint", "_last_s", "_loop", "_pause_s", "_response", "_taken")

    def __init__(self, response: aiohttp.ClientResponse, endpoint: Endpoint) -> None:
        self._response = response
        self._content = response.content
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._last_s = 0.0
        self._pause_s = _GATHER_S
        self._taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._loop.time() - self._last_s < _GATHER_S:
            await self._gather()
        with _errors_of(self._endpoint):
            chunk = await self._content.readany()
        if not chunk:
            raise StopAsyncIteration
        self._taken += len(chunk)
        self._last_s = self._loop.time()
        return chunk

    async def _gather(self) -> None:
        """Let aiohttp's buffer fill, until there is enough or it comes no longer fast."""
        began_s, came = self._loop.time(), 0
        while self._loop.time() - began_s < _GATHER_MOST_S:
            connection = self._response.connection
            transport = connection.transport if connection else None
            if transport is None or not transport.is_reading():
                return
            transport.pause_reading()
            try:
                await asyncio.sleep(self._pause_s)
            finally:
                transport.resume_reading()
            await asyncio.sleep(0)  # the loop learns that there is something to read
            await asyncio.sleep(0)  # and has read it
            before, came = came, self._content.total_bytes - self._taken
            rate = (came - before) / self._pause_s
            self._pause_s = _GATHER_BUSY_S if rate > _BUSY_BYTES_PER_S else _GATHER_S
            if came >= _ENOUGH_BYTES or rate < _FAST_BYTES_PER_S:
                return


class _Events:
    """The events in a body: a JSON object a line."""

    __slots__ = ("_body", "_ready", "_rest")

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._ready: list[Event] = []
        self._rest = b""

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            *lines, self._rest = (self._rest + await anext(self._body)).split(b"\n")
            self._ready = [event for line in lines if (event := _event(line)) is not None][::-1]
        return self._ready.pop()


def _event(line: bytes) -> Event | None:
    if not line.strip():
        return None
    try:
        event = event_of(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise EngineUnreachable(f"what came in place of an event is none: {line[:80]!r}") from error
    return event if event is not None and event.action in _ACTIONS else None


def refusal(body: bytes, otherwise: str) -> str:
    """The Engine's own words in the body of an error; `otherwise` where a proxy answered in its stead."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return f"{otherwise}; {_SPEAK_TLS}" if _PLAIN in body else otherwise
    message = answer.get("message") if isinstance(answer, dict) else None
    return str(message).strip() if message else otherwise


def engine_clock(date: str | None, ours_ns: int) -> int:
    """`ours_ns` if it agrees with a Date header (or there is none), else the header's time, in ns."""
    if date is None:
        return ours_ns
    try:
        theirs_ns = round(parsedate_to_datetime(date).timestamp()) * NS
    except ValueError:
        return ours_ns
    return ours_ns if abs(ours_ns - theirs_ns) <= _CLOCK_TOLERANCE_NS else theirs_ns


@contextlib.contextmanager
def _errors_of(endpoint: Endpoint) -> Iterator[None]:
    """aiohttp's errors as ours."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise EngineUnreachable(explain(endpoint, error.os_error)) from error
    except TimeoutError as error:
        raise EngineUnreachable(f"the Docker Engine at {endpoint.said} does not answer") from error
    except (aiohttp.ClientError, OSError) as error:
        where = f"the Docker Engine at {endpoint.said}"
        if why := turned_away(error):
            raise EngineUnreachable(f"cannot reach {where}: {why}") from error
        why = str(error) or type(error).__name__
        raise EngineUnreachable(f"the connection to {where} was lost: {why}") from error
