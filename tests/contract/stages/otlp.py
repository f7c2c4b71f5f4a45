"""otlp+http, otlp+https: protobuf and JSON."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.contract.web import WebStage
from tests.receivers.otlp import OtlpReceiver
from tests.receivers.parsed import dotted
from tests.receivers.received import Received
from tests.receivers.web import Answer


class OtlpStage(WebStage):
    schemes = ("otlp+http", "otlp+https")
    receiver = OtlpReceiver

    @property
    def url(self) -> str:
        return f"{self.address}?token={self.secret}"

    def kept(self, sent: Received) -> Received | None:
        return replace(sent, fields=dotted(sent.fields))

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        """The specification allows to send again after these; not after a 500."""
        self.web.script += [Answer(503, "starting"), Answer(502), Answer(504)]
        yield


class OtlpJsonStage(OtlpStage):
    @property
    def url(self) -> str:
        return f"{super().url}&encoding=json&compress=zstd"
