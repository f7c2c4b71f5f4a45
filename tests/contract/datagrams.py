"""The ground for stages whose receiver takes datagrams: `tests.receivers.datagrams.DatagramReceiver`."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.contract.listening import ListeningStage
from tests.contract.stage import Case, Shared, Tls
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


class DatagramStage(ListeningStage):
    """A stage of a DatagramReceiver. A subclass names it and gives the URL."""

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self.receiver = self.made()

    @abc.abstractmethod
    def made(self) -> DatagramReceiver:
        """The receiver, not yet listening."""

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self.receiver.listening()

    async def have(self, count: int) -> list[Received]:
        return await self.receiver.inbox.have(count)
