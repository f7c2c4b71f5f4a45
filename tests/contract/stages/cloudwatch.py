"""cloudwatch: to a strict server of our own, as Docker's driver sends and as JSON."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

from tests.contract.web import WebStage
from tests.receivers.aws import ACCESS_KEY_ID
from tests.receivers.cloudwatch import (
    GROUP,
    NEWEST_MS,
    OLDEST_MS,
    OVERHEAD_BYTES,
    PUT_BYTES,
    CloudWatchReceiver,
    error,
)
from tests.receivers.received import Received
from tests.receivers.web import WebReceiver


class CloudWatchStage(WebStage):
    schemes = ("cloudwatch",)
    format: ClassVar[str] = "text"

    def made(self) -> WebReceiver:
        return CloudWatchReceiver(secret=self.secret, format=self.format)

    @property
    def logs(self) -> CloudWatchReceiver:
        assert isinstance(self.web, CloudWatchReceiver)
        return self.web

    @property
    def url(self) -> str:
        endpoint = f"http{'s' if self.tls else ''}://127.0.0.1:{self.web.port}"
        keys = f"access_key_id={ACCESS_KEY_ID}&secret_access_key={self.secret}"
        return f"cloudwatch://eu-central-1/{GROUP}?endpoint={endpoint}&{keys}&format={self.format}"

    async def have(self, count: int) -> list[Received]:
        await self.logs.inbox.until(lambda: len(list(joined(self.logs.inbox.records))) >= count)
        return list(joined(self.logs.inbox.records))

    def kept(self, sent: Received) -> Received | None:
        """The line and its container's stream, to the millisecond; a blank for an empty line."""
        if not self._in_time(sent):
            return None
        stamp_ns = sent.timestamp_ns // 1_000_000 * 1_000_000
        return Received(sent.message or " ", stamp_ns, container_id=sent.container_id)

    def _in_time(self, sent: Received) -> bool:
        return -OLDEST_MS <= sent.timestamp_ns // 1_000_000 - self.logs.now_ms <= NEWEST_MS

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        self.web.script.append(error(400, "ThrottlingException", "Rate exceeded"))
        yield None

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.web.script += [error(500, "ServiceUnavailableException"), error(500, "InternalFailure")]
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        right, self.logs.secret = self.logs.secret, "another"
        yield
        self.logs.secret = right


class CloudWatchJsonStage(CloudWatchStage):
    format = "json"

    def kept(self, sent: Received) -> Received | None:
        return sent if self._in_time(sent) else None


def joined(records: Iterable[Received]) -> Iterator[Received]:
    """The records, a line that had to become several events being one again."""
    longest = PUT_BYTES - OVERHEAD_BYTES
    parts = iter(records)
    for record in parts:
        message, last = record.message, record
        while len(last.message) == longest:
            last = next(parts, replace(record, message=""))
            message += last.message
        yield replace(record, message=message)
