"""tcp, tls: JSON lines to a receiver that never answers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

from tests.contract.listening import ListeningStage
from tests.contract.stage import Case, Shared, Tls
from tests.receivers.received import Received
from tests.receivers.tcp import TcpReceiver

_SILENT = "the receiver never answers"


class TcpStage(ListeningStage):
    schemes = ("tcp", "tls")
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.SPLIT: _SILENT,
        Case.THROTTLED: _SILENT,
        Case.FAILING: _SILENT,
        Case.REFUSED: _SILENT,
        Case.LOCKED: "there are no credentials but a certificate",
    }

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._tcp = TcpReceiver()

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self._tcp.listening(self.tls.context() if self.tls else None)

    @property
    def url(self) -> str:
        return f"{self.schemes[-1 if self.tls else 0]}://127.0.0.1:{self._tcp.port}"

    async def have(self, count: int) -> list[Received]:
        return await self._tcp.inbox.have(count)

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self._tcp.reset_after = 50_000
        yield
