"""The sinks that the contract is kept by, each with its strict receiver on loopback, and what they are given."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest

from agent.batch import Batch, Stream
from agent.sinks import parse_sink
from agent.sinks.base import Outcome, Sink
from tests.receivers.loki import LokiReceiver
from tests.receivers.received import Received
from tests.receivers.sent import batch, container, forget
from tests.receivers.tcp import TcpReceiver
from tests.receivers.web import HttpReceiver

Receiver: TypeAlias = HttpReceiver | LokiReceiver | TcpReceiver


@dataclass(frozen=True, slots=True)
class Case:
    """A sink and its receiver. `url` takes the port, and `tls` with it."""

    name: str
    receiver: Callable[..., Any]
    url: str
    tls_url: str
    options: str = ""

    def sink(self, port: int, *, tls: bool = False, more: str = "") -> Sink[Any]:
        options = "&".join(filter(None, [self.options, more]))
        return parse_sink("it", f"{(self.tls_url if tls else self.url).format(port=port)}?{options}")


HTTP = Case("http", HttpReceiver, "http://127.0.0.1:{port}/logs", "https://127.0.0.1:{port}/logs")
WEB = [
    HTTP,
    replace(HTTP, name="http-json-gzip", options="format=json&compress=gzip"),
    replace(HTTP, name="http-zstd", options="compress=zstd"),
    Case(
        "loki", LokiReceiver, "loki+http://127.0.0.1:{port}", "loki+https://127.0.0.1:{port}/loki/api/v1/push"
    ),
]
NETWORK = [*WEB, Case("tcp", TcpReceiver, "tcp://127.0.0.1:{port}", "tls://127.0.0.1:{port}")]

of_network = pytest.mark.parametrize("case", NETWORK, ids=lambda case: case.name)
of_web = pytest.mark.parametrize("case", WEB, ids=lambda case: case.name)


@contextlib.asynccontextmanager
async def opened(sink: Sink[Any]) -> AsyncIterator[Sink[Any]]:
    await sink.open(None, forget)
    try:
        yield sink
    finally:
        await sink.close()


@contextlib.asynccontextmanager
async def between(
    case: Case,
    *,
    server: ssl.SSLContext | None = None,
    more: str = "",
    **how: str | int | None,
) -> AsyncIterator[tuple[Receiver, Sink[Any]]]:
    """A receiver and a sink that talks to it, both open."""
    receiver = case.receiver(**how)
    async with (
        receiver.listening(server),
        opened(case.sink(receiver.port, tls=bool(server), more=more)) as sink,
    ):
        yield receiver, sink


def arrived(case: Case, records: list[Received]) -> list[Received]:
    """Loki keeps names of labels in its own letters; they are compared in those."""
    if case.receiver is not LokiReceiver:
        return records
    restored = {"com_example_team": "com.example.team"}
    return [
        replace(record, labels={restored.get(name, name): value for name, value in record.labels.items()})
        for record in records
    ]


def several() -> list[Batch]:
    """Two containers, both streams, an empty line, one that was cut and one that is not UTF-8."""
    return [
        batch(),
        batch([b"cut here", b"not \xff\xfe utf-8 \xe2\x82"], stream=Stream.STDERR, truncated=[0]),
        batch([b"of another"], of=container("db")),
    ]


def noise(count: int, size: int) -> list[bytes]:
    """Messages of `size` printable bytes that no compression makes much smaller; the same ones each time."""
    chance = random.Random(count)
    return [base64.b85encode(chance.randbytes(size * 4 // 5)) for _ in range(count)]


async def until(deliver: Callable[[], Awaitable[Outcome]], wanted: type[Outcome]) -> Outcome:
    """Deliver again and again, as the runner does, until the outcome is `wanted`; three times at most."""
    outcome = None
    for _ in range(3):
        outcome = await deliver()
        if isinstance(outcome, wanted):
            return outcome
    raise AssertionError(f"still {outcome}")


async def cancelled_after(turns: int, deliver: Coroutine[Any, Any, Outcome]) -> None:
    """Cancel `deliver` after that many turns of the loop, wherever it is then."""
    async with asyncio.TaskGroup() as group:
        under_way = group.create_task(deliver)
        for _ in range(turns):
            await asyncio.sleep(0)
        under_way.cancel()
