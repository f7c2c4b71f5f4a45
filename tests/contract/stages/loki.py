"""loki+http, loki+https."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.contract.web import WebStage
from tests.receivers.loki import LINE_BYTES, LokiReceiver
from tests.receivers.received import Received


class LokiStage(WebStage):
    schemes = ("loki+http", "loki+https")
    receiver = LokiReceiver
    together = True

    @property
    def url(self) -> str:
        return f"{self.address}?token={self.secret}"

    def kept(self, sent: Received) -> Received | None:
        """Loki keeps names of labels in its own letters."""
        return replace(sent, labels={name.replace(".", "_"): value for name, value in sent.labels.items()})

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        yield b"x" * (LINE_BYTES + 1)
