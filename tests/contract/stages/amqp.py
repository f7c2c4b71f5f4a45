"""amqp, amqps: a queue of a real RabbitMQ, a message for each record or for many."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, DeliveryMode

from tests.contract.listening import ListeningStage
from tests.contract.stage import Case, Shared, Tls
from tests.receivers.proxy import Proxy
from tests.receivers.rabbitmq import PASSWORD, USER, VHOST, RabbitServer, rabbitmq_server
from tests.receivers.received import Faulty, Inbox, Received, read_line

NO_SECOND = 1 << 32  # pamqp takes a time beyond 2106 for milliseconds


class AmqpStage(ListeningStage):
    schemes = ("amqp", "amqps")
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.SPLIT: "RabbitMQ knows no size of a request, only of a record",
    }
    together = True  # too long a message costs the channel, and with it the confirmations under way
    secret = PASSWORD
    options = "routing_key=logs.{{.Name}}"
    content_type = "application/json"

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._rabbit: RabbitServer = shared.once(rabbitmq_server)
        self._name = f"logs-{directory.name}"
        self._proxy = Proxy("127.0.0.1", self._rabbit.port, tls.context() if tls else None)
        self._inbox = Inbox()

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        async with await aio_pika.connect(self._rabbit.admin()) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(self._name, "topic", auto_delete=True)
            queue = await channel.declare_queue(self._name, auto_delete=True)
            await queue.bind(exchange, "logs.#")
            await queue.consume(self._take, no_ack=True)
            async with super().standing():
                yield

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self._proxy.listening()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        try:
            self._inbox.add(self._read(message))
        except (Faulty, ValueError, LookupError, TypeError) as error:
            self._inbox.fault(error)

    def _read(self, message: AbstractIncomingMessage) -> list[Received]:
        records = self._records(message.body)
        given = (message.content_type, message.delivery_mode, message.message_id, message.app_id)
        if given != (self.content_type, DeliveryMode.PERSISTENT, records[0].id, "dockferry"):
            raise Faulty(f"wrong properties: {given}")
        level = records[0].level if self.content_type == AmqpStage.content_type else None
        if message.headers != ({"level": level} if level else {}):
            raise Faulty(f"headers: {message.headers}")
        second = records[0].timestamp_ns // 10**9
        if second < NO_SECOND and (message.timestamp is None or message.timestamp.timestamp() != second):
            raise Faulty(f"wrong time: {message.timestamp}")
        return records

    def _records(self, body: bytes) -> list[Received]:
        return [read_line(body)]

    @property
    def url(self) -> str:
        scheme = self.schemes[-1 if self.tls else 0]
        address = f"{scheme}://{USER}:{self.secret}@127.0.0.1:{self._proxy.port}"
        return f"{address}/{VHOST}/{self._name}?{self.options}"

    async def have(self, count: int) -> list[Received]:
        return await self._inbox.have(count)

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        """The queue is full, and refuses to be fuller."""
        full = json.dumps({"max-length": 0, "overflow": "reject-publish"})
        self._rabbit.control("set_policy", "-p", VHOST, "full", ".*", full, "--apply-to", "queues")
        yield None
        self._rabbit.control("clear_policy", "-p", VHOST, "full")

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        with self._rabbit.short_of_memory():
            yield

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        with self._rabbit.taking(20_000):
            yield b"x" * 20_000

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self._proxy.reset_after = 200_000
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self._rabbit.control("change_password", USER, "other")
        yield
        self._rabbit.control("change_password", USER, PASSWORD)


class AmqpLinesStage(AmqpStage):
    cannot: ClassVar[Mapping[Case, str]] = {}
    options = "routing_key=logs.all&batch=ndjson"
    content_type = "application/x-ndjson"

    def _records(self, body: bytes) -> list[Received]:
        if not body.endswith(b"\n"):
            raise Faulty("the last line has no end")
        return [read_line(line) for line in body[:-1].split(b"\n")]

    @contextlib.asynccontextmanager
    async def shrunk(self, most_bytes: int) -> AsyncIterator[None]:
        with self._rabbit.taking(most_bytes):
            yield
