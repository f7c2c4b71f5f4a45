"""s3: to a bucket of a strict server of our own, compressed and not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import ClassVar

from tests.contract.stage import Case
from tests.contract.web import WebStage
from tests.receivers.aws import ACCESS_KEY_ID
from tests.receivers.received import Received
from tests.receivers.s3 import BUCKET, S3Receiver, error
from tests.receivers.web import Answer, WebReceiver


class S3Stage(WebStage):
    schemes = ("s3",)
    cannot: ClassVar[Mapping[Case, str]] = {Case.REFUSED: "an object is stored whole, whatever is in it"}

    def made(self) -> WebReceiver:
        return S3Receiver(secret=self.secret)

    @property
    def s3(self) -> S3Receiver:
        assert isinstance(self.web, S3Receiver)
        return self.web

    @property
    def address(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.web.port}"

    @property
    def url(self) -> str:
        keys = f"access_key_id={ACCESS_KEY_ID}&secret_access_key={self.secret}"
        return f"s3://{BUCKET}/docker?region=eu-central-1&endpoint={self.address}&{keys}"

    async def have(self, count: int) -> list[Received]:
        await self.s3.inbox.until(lambda: len(self.s3.records) >= count)
        return self.s3.records

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        self.web.script.append(error(503, "SlowDown", "Please reduce your request rate.", retry_after="70"))
        yield 70.0

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.web.script += [error(503, "ServiceUnavailable"), error(500, "InternalError")]
        yield

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        """Twice: aiohttp sends a PUT once more by itself, as it may."""
        self.web.script += [Answer(cut=True), Answer(cut=True)]
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        right, self.s3.secret = self.s3.secret, "another"
        yield
        self.s3.secret = right


class S3PlainByContainerStage(S3Stage):
    @property
    def url(self) -> str:
        return f"{super().url}&compress=none&key_prefix={{{{.Date}}}}/{{{{.Name}}}}"
