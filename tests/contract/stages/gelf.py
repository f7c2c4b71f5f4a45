"""gelf+udp, gelf+tcp, gelf+tls, gelf+http, gelf+https: strict readers of GELF 1.1."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.contract.cases import noise
from tests.contract.datagrams import CANNOT, DatagramStage
from tests.contract.stage import Case, Shared, Tls
from tests.contract.stages.tcp import TcpStage
from tests.contract.web import WebStage
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.gelf import GelfHttp, GelfTcp, GelfUdp
from tests.receivers.parsed import among_labels, as_severity, as_text
from tests.receivers.received import Received


def as_graylog_can(sent: Received) -> Received:
    """It drops a message without text, which gets a dash, and fields that are true or false, which become text."""
    sent = sent if sent.message.strip() else replace(sent, message="-")
    return among_labels(as_severity(sent), str, lambda value: as_text(value) if value is True else value)


class GelfUdpStage(DatagramStage):
    schemes = ("gelf+udp",)
    cannot = CANNOT

    def made(self) -> DatagramReceiver:
        return GelfUdp()

    @property
    def url(self) -> str:
        return f"gelf+udp://127.0.0.1:{self.receiver.port}"

    def kept(self, sent: Received) -> Received | None:
        return as_graylog_can(sent)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        """What does not go into 128 chunks, compressed."""
        yield noise(1, 400_000)[0]


class GelfTcpStage(TcpStage):
    schemes = ("gelf+tcp", "gelf+tls")
    cannot: ClassVar[Mapping[Case, str]] = {
        case: why for case, why in TcpStage.cannot.items() if case is not Case.REFUSED
    }

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._tcp = GelfTcp()

    def kept(self, sent: Received) -> Received | None:
        return as_graylog_can(sent)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        yield b"x" + b"\0" * 500_000  # each of these takes six bytes of JSON


class GelfHttpStage(WebStage):
    """Graylog without bulk receiving: a request for each record."""

    schemes = ("gelf+http", "gelf+https")
    receiver = GelfHttp
    cannot: ClassVar[Mapping[Case, str]] = {Case.SPLIT: "a request has one record"}

    @property
    def url(self) -> str:
        return f"{self.address}?token={self.secret}"

    def kept(self, sent: Received) -> Received | None:
        return as_graylog_can(sent)


class GelfHttpBulkStage(GelfHttpStage):
    """Graylog with bulk receiving."""

    cannot: ClassVar[Mapping[Case, str]] = {}

    @property
    def url(self) -> str:
        return f"{super().url}&bulk=true&compress=gzip"
