"""loki+http, loki+https."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.contract.web import WebStage
from tests.receivers.loki import LINE_BYTES, LokiReceiver
from tests.receivers.parsed import among_labels, as_text
from tests.receivers.received import Received


class LokiStage(WebStage):
    schemes = ("loki+http", "loki+https")
    receiver = LokiReceiver
    together = True

    @property
    def url(self) -> str:
        return f"{self.address}?token={self.secret}"

    def kept(self, sent: Received) -> Received | None:
        """Loki keeps names of labels and fields in its own letters."""
        sent = replace(sent, labels={_name(name): value for name, value in sent.labels.items()})
        return among_labels(sent, _name, as_text)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        yield b"x" * (LINE_BYTES + 1)


def _name(name: str) -> str:
    return name.replace(".", "_")
