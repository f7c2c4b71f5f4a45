"""kafka, kafka+tls: two brokers and a log of three partitions. A real consumer is in tests/sinks/test_kafka.py."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.contract.listening import ListeningStage
from tests.contract.stage import Shared, Tls
from tests.receivers.kafka import Answer, KafkaCluster
from tests.receivers.received import Received

NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT = 19, 7
POISON = "poison"


class KafkaStage(ListeningStage):
    schemes = ("kafka", "kafka+tls")
    options = ""

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._cluster = KafkaCluster(nodes=2, user="agent", password=self.secret)

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self._cluster.listening(self.tls.context() if self.tls else None)

    @property
    def url(self) -> str:
        scheme = self.schemes[-1 if self.tls else 0]
        return f"{scheme}://agent:{self.secret}@{self._cluster.addresses}/logs{self.options}"

    async def have(self, count: int) -> list[Received]:
        return await self._cluster.inbox.have(count)

    def forgive(self) -> None:
        self._cluster.inbox.faults.clear()

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        self._cluster.script.append(Answer(NOT_ENOUGH_REPLICAS))
        yield None

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self._cluster.script += [Answer(REQUEST_TIMED_OUT), Answer(REQUEST_TIMED_OUT)]
        yield

    @contextlib.asynccontextmanager
    async def shrunk(self, most_bytes: int) -> AsyncIterator[None]:
        self._cluster.most_bytes = most_bytes
        yield

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        self._cluster.poison = POISON
        yield POISON.encode()

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self._cluster.script.append(Answer(cut="stored"))
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self._cluster.password = "another"
        yield
        self._cluster.password = self.secret


class KafkaZstdStage(KafkaStage):
    options = "?compress=zstd&idempotent=off"
