"""The ground for stages whose receiver takes datagrams: `tests.receivers.datagrams.DatagramReceiver`."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.contract.stage import Case, Shared, Stage, Tls
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.received import Received

_SILENT = "the receiver never answers"
_NO_TLS = "datagrams go in the clear"

#: What no protocol of datagrams has.
CANNOT: Mapping[Case, str] = {
    **dict.fromkeys([Case.SPLIT, Case.THROTTLED, Case.FAILING], _SILENT),
    Case.LOCKED: "there are no credentials",
    Case.CUT: "there is no connection",
    **dict.fromkeys([Case.TLS, Case.UNTRUSTED, Case.WRONG_NAME, Case.UNVERIFIED, Case.OURS], _NO_TLS),
}


class DatagramStage(Stage):
    """A stage of a DatagramReceiver. A subclass names it and gives the URL."""

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self.receiver = self.made()
        self._up = contextlib.AsyncExitStack()

    @abc.abstractmethod
    def made(self) -> DatagramReceiver:
        """The receiver, not yet listening."""

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        await self._up.enter_async_context(self.receiver.listening())
        try:
            yield
        finally:
            await self._up.aclose()

    async def have(self, count: int) -> list[Received]:
        return await self.receiver.inbox.have(count)

    @contextlib.asynccontextmanager
    async def absent(self) -> AsyncIterator[None]:
        await self._up.aclose()
        yield
        await self._up.enter_async_context(self.receiver.listening())
