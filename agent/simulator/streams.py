"""The answers that go on for a while: `/logs`, `/events` and `/attach`, with what faults do to them.

Place: called by `server` once a request is known to be good; this is where bytes leave.
Source: moby daemon/logs.go, daemon/attach.go, daemon/server/router/container/container_routes.go,
daemon/server/router/system/system_routes.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from aiohttp import HttpVersion11, web

from agent.simulator.wire import NANOSECONDS, LogFormat, frame

if TYPE_CHECKING:
    from agent.simulator.containers import Container
    from agent.simulator.engine import SimulatedEngine
    from agent.simulator.events import Filters
    from agent.simulator.faults import Route
    from agent.simulator.log import LogReader, Window

RECORDS_AT_ONCE: Final = 1024
RECORDS_IN_CHUNKS_OF_THEIR_OWN: Final = 64
_ATTACH_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
_ATTACH_HEAD_UPGRADED: Final = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)


class StreamCutError(Exception):
    """A fault ends this stream here."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("cut by a fault")
        self.reset = reset


class HijackedResponse(web.StreamResponse):
    """Stands for an answer that was written to the connection itself, as moby does for `/attach`."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, _request: web.BaseRequest) -> None:
        """Send no head: it is sent already."""

    async def write_eof(self, _data: bytes = b"") -> None:
        """Send no end: closing the connection is the end."""


class Stream:
    """One answer under way: woken by news, subject to faults, and broken off when the Engine goes down.

    Leaving it by a StreamCutError is an end like another.
    """

    def __init__(
        self,
        engine: SimulatedEngine,
        request: web.Request,
        route: Route,
        container: Container | None,
        *,
        follow: bool,
    ) -> None:
        self.transport = _transport(request)
        self.ends_with_container = container is not None
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._sent_at = self._loop.time()
        self._woken = asyncio.Event()
        self.course = engine.faults.open_course(route, container, self.wake, follow=follow)

    async def __aenter__(self) -> Self:
        self._engine.streams.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._engine.faults.close_course(self.course)
        self._engine.stream_closed(self)
        if isinstance(error, StreamCutError) and error.reset:
            self.transport.close()  # not abort: what was sent before the cut shall arrive
        return isinstance(error, StreamCutError)

    def wake(self) -> None:
        """Something happened that this stream may want to send."""
        self._woken.set()

    def clip(self, data: bytes) -> bytes:
        """Return as much as faults let through, and note that something was sent."""
        self._sent_at = self._loop.time()
        return self.course.clip(data)

    def check(self) -> None:
        """Raise StreamCutError if a fault ends the stream now."""
        cut = self.course.cut
        if cut is not None and cut.after_bytes == 0:
            raise StreamCutError(reset=cut.reset)
        for timeout in self.course.timeouts:
            if self._loop.time() >= self._since(idle_only=timeout.idle_only) + timeout.seconds:
                raise StreamCutError(reset=timeout.reset)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for news, or so long; StreamCutError if a fault ends the stream first."""
        self.check()
        deadlines = [self._since(idle_only=t.idle_only) + t.seconds for t in self.course.timeouts]
        if seconds is not None:
            deadlines.append(self._loop.time() + seconds)
        try:
            async with asyncio.timeout_at(min(deadlines, default=None)):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        self.check()

    def _since(self, *, idle_only: bool) -> float:
        return self._sent_at if idle_only else self._opened_at


@dataclass(frozen=True, slots=True)
class LogRequest:
    """A `/logs` request that may be answered."""

    container: Container
    window: Window
    format: LogFormat
    follow: bool
    content_type: str | None


async def send_log(engine: SimulatedEngine, request: web.Request, wanted: LogRequest) -> web.StreamResponse:
    """Answer `/logs`: history, then what comes, until the container ends."""
    response = _response(request, wanted.content_type)
    async with Stream(engine, request, "logs", wanted.container, follow=wanted.follow) as stream:
        reader = wanted.container.log.open(wanted.window, follow=wanted.follow, wake=stream.wake)
        try:
            await response.prepare(request)
            await _pump(engine, stream, reader, response, wanted.format)
        finally:
            reader.close()
    return response


async def _pump(
    engine: SimulatedEngine, stream: Stream, reader: LogReader, response: web.StreamResponse, shape: LogFormat
) -> None:
    course = stream.course
    while True:
        pieces = reader.take(RECORDS_AT_ONCE)
        if course.changes_records:
            pieces = course.shape(pieces)
        for block in _blocks(shape.encode(pieces), one_each=shape.tty):
            allowed = stream.clip(block)
            engine.log_bytes_sent += len(allowed)
            await response.write(allowed)
            stream.check()
        if course.over or (reader.finished and not course.hung):
            return
        if reader.exhausted:
            await stream.wait()
        else:
            await asyncio.sleep(0)  # a long log is not to keep its reader, in the same process, from reading


def _blocks(records: list[bytes], *, one_each: bool) -> Iterable[bytes]:
    """Return what is written at once: each write is one HTTP chunk, in moby always one record.

    Long runs of frames are joined all the same, or the simulator would be slower than the readers it tests. A
    TTY's are not: there the chunk is the only border between records.
    """
    if one_each or len(records) <= RECORDS_IN_CHUNKS_OF_THEIR_OWN:
        return [record for record in records if record]
    return [b"".join(records)]


async def send_events(
    engine: SimulatedEngine,
    request: web.Request,
    filters: Filters,
    since: int | None,
    until: int | None,
    *,
    old_fields: bool,
) -> web.StreamResponse:
    """Answer `/events`: what the ring has `since` and what comes `until`; nanoseconds, both ends included."""
    response = _response(request, "application/json")
    async with Stream(engine, request, "events", None, follow=True) as stream:
        subscription = engine.events.subscribe(filters, since, stream.wake)
        try:
            await response.prepare(request)
            while True:
                while subscription.queue:
                    event = subscription.queue.popleft()
                    if until is not None and event.at > until:
                        return response
                    await response.write(stream.clip(event.as_json(old_fields=old_fields)))
                    stream.check()
                left = None if until is None else (until - engine.now()) / NANOSECONDS
                if left is not None and left <= 0:
                    return response
                await stream.wait(left)
        finally:
            engine.events.unsubscribe(subscription)
    return response


def _response(request: web.Request, content_type: str | None) -> web.StreamResponse:
    """Return an answer whose head is sent as soon as it is prepared, as Engines do since 26.1.4."""
    response = web.StreamResponse()
    if request.version < HttpVersion11:
        response.force_close()  # a body without chunks has no other end, whatever the client wishes
    if content_type is not None:
        response.headers["Content-Type"] = content_type
    return response


def _transport(request: web.Request) -> asyncio.Transport:
    assert request.transport is not None  # noqa: S101 - a handler runs only while its connection is open
    return request.transport


class AttachedClient:
    """The connection of an attached client: what it does not read piles up here, and holds up nothing."""

    def __init__(self, stream: Stream, streams: frozenset[int], *, tty: bool) -> None:
        self._stream = stream
        self._streams = streams
        self._tty = tty

    @property
    def backlog(self) -> int:
        """Bytes that the client's side of the connection did not take yet."""
        return self._stream.transport.get_write_buffer_size()

    def deliver(self, stream: int, data: bytes) -> None:
        """Send one piece of live output."""
        if stream in self._streams and not self._stream.transport.is_closing():
            self._stream.transport.write(self._stream.clip(data if self._tty else frame(stream, data)))
            self._stream.wake()

    def end(self) -> None:
        """The container ended: what was written still goes out, then the connection closes."""
        self._stream.transport.close()


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """An `/attach` request that may be answered; with a content type if the client asked for an upgrade."""

    container: Container
    streams: frozenset[int]
    logs: bool
    live: bool
    upgraded_content_type: bytes | None


async def attach(engine: SimulatedEngine, request: web.Request, wanted: AttachRequest) -> web.StreamResponse:
    """Answer `/attach` on the bare connection: the stored log if asked, then live output until the exit."""
    container = wanted.container
    async with Stream(engine, request, "attach", container, follow=True) as stream:
        transport = stream.transport
        upgraded = wanted.upgraded_content_type
        transport.write(_ATTACH_HEAD if upgraded is None else _ATTACH_HEAD_UPGRADED % upgraded)
        client = AttachedClient(stream, wanted.streams, tty=container.spec.tty)
        if wanted.logs:
            stored = LogFormat(wanted.streams, container.spec.tty, timestamps=False, details=b"")
            transport.write(stream.clip(b"".join(stored.encode(container.log.pieces))))
        if wanted.live:
            container.attach(client)
            try:
                while True:  # until the connection has closed, which cancels the handler
                    await stream.wait()
            finally:
                container.detach(client)
    return HijackedResponse()
