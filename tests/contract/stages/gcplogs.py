"""gcplogs: to a strict Cloud Logging of our own, with the key of a service account made here."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.contract.stage import Shared, Tls
from tests.contract.web import POISON, WebStage
from tests.receivers.google import (
    ENTRY_BYTES,
    LOG,
    PROJECT,
    GcpLogsReceiver,
    ServiceAccount,
    TokenReceiver,
    error,
)
from tests.receivers.received import Received
from tests.receivers.web import WebReceiver

ACCOUNT = ServiceAccount()


class GcpLogsStage(WebStage):
    schemes = ("gcplogs",)
    secret: ClassVar[str] = ACCOUNT.pem.splitlines()[1]

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._tokens = TokenReceiver(ACCOUNT)
        self._key = directory / "key.json"

    def made(self) -> WebReceiver:
        return GcpLogsReceiver()

    @property
    def google(self) -> GcpLogsReceiver:
        assert isinstance(self.web, GcpLogsReceiver)
        return self.web

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        async with self._tokens.listening(), super().standing():
            self._key.write_text(ACCOUNT.json(self._tokens.url))
            yield

    @property
    def url(self) -> str:
        endpoint = f"http{'s' if self.tls else ''}://127.0.0.1:{self.web.port}"
        return f"gcplogs://{PROJECT}/{LOG}?endpoint={endpoint}&credentials_file={self._key}"

    async def have(self, count: int) -> list[Received]:
        await self._tokens.inbox.until(lambda: True)  # raises what was wrong with how tokens were asked for
        return await super().have(count)

    def kept(self, sent: Received) -> Received | None:
        """LogSeverity knows no trace."""
        sent = replace(sent, level="debug") if sent.level == "trace" else sent
        return sent if len(sent.message) < ENTRY_BYTES else None

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        self.web.script.append(error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric"))
        yield None

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.web.script += [error(503, "UNAVAILABLE", "try again"), error(500, "INTERNAL", "an error")]
        yield

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        self.google.refuses[POISON.decode()] = (3, "not this one")
        yield POISON

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self._tokens.locked = True
        yield
        self._tokens.locked = False
