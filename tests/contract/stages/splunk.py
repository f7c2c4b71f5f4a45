"""splunk+http, splunk+https: with and without indexer acknowledgement."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.contract.web import WebStage
from tests.receivers.received import Received
from tests.receivers.splunk import SplunkReceiver, said


class SplunkStage(WebStage):
    schemes = ("splunk+http", "splunk+https")
    receiver = SplunkReceiver
    authorization = f"Splunk {WebStage.secret}"

    @property
    def url(self) -> str:
        return f"{self.address}?token={self.secret}"

    def kept(self, sent: Received) -> Received | None:
        """Times to the microsecond, as Docker's driver sends them."""
        return replace(sent, timestamp_ns=sent.timestamp_ns // 1000 * 1000)

    async def have(self, count: int) -> list[Received]:
        """A bad event costs its neighbours a second journey: those that Splunk had taken are there twice."""
        await self.web.inbox.until(lambda: len(self._once()) >= count)
        return self._once() if self.web.poison is not None else self.web.inbox.records

    def _once(self) -> list[Received]:
        return list({record.id: record for record in self.web.inbox.records}.values())

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.web.script += [said(503, 9, "Server is busy"), said(500, 8, "Internal server error")]
        yield


class SplunkAckStage(SplunkStage):
    def made(self) -> SplunkReceiver:
        return SplunkReceiver(authorization=self.authorization, acknowledging=True)

    @property
    def url(self) -> str:
        return f"{super().url}&ack=true&compress=none"
