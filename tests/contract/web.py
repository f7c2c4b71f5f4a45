"""The ground for stages whose receiver speaks HTTP: `tests.receivers.web.WebReceiver` makes all the trouble."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

from tests.contract.listening import ListeningStage
from tests.contract.stage import Shared, Tls
from tests.receivers.received import Received
from tests.receivers.web import Answer, WebReceiver

POISON = b"poison"


class WebStage(ListeningStage):
    """A stage of a WebReceiver. A subclass names it and gives the URL.

    receiver       the class that `made` makes one of
    authorization  the header that goes with the credentials in `url`
    """

    receiver: ClassVar[type[WebReceiver]]
    authorization: ClassVar[str] = f"Bearer {ListeningStage.secret}"

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self.web = self.made()

    def made(self) -> WebReceiver:
        """The receiver, not yet listening."""
        return self.receiver(authorization=self.authorization)

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self.web.listening(self.tls.context() if self.tls else None)

    @property
    def address(self) -> str:
        """Scheme, host and port, as the URL begins."""
        return f"{self.schemes[-1 if self.tls else 0]}://127.0.0.1:{self.web.port}"

    async def have(self, count: int) -> list[Received]:
        return await self.web.inbox.have(count)

    def forgive(self) -> None:
        self.web.inbox.faults.clear()

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        self.web.script.append(Answer(429, headers={"Retry-After": "70"}))
        yield 70.0

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.web.script += [Answer(503, "starting"), Answer(500)]
        yield

    @contextlib.asynccontextmanager
    async def shrunk(self, most_bytes: int) -> AsyncIterator[None]:
        self.web.most_bytes = most_bytes
        yield

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        self.web.poison = POISON.decode()
        yield POISON

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self.web.script.append(Answer(cut=True))
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        right, self.web.authorization = self.web.authorization, "Bearer of another"
        yield
        self.web.authorization = right
