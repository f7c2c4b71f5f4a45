"""syslog+udp, syslog+tcp, syslog+tls, syslog+unix: strict readers of RFC 5424."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.contract.datagrams import CANNOT, DatagramStage
from tests.contract.stage import Case, Shared, Tls
from tests.contract.stages.tcp import TcpStage
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.parsed import among_labels, as_severity, as_text
from tests.receivers.received import Received
from tests.receivers.syslog import SyslogDatagrams, SyslogTcp

TOO_LONG = b"x" * 8192


def as_rfc5424_can(sent: Received) -> Received:
    """Time to the microsecond; in names of labels no dots, which syslog-ng takes for a path."""
    labels = {name.replace(".", "_"): value for name, value in sent.labels.items()}
    sent = replace(sent, timestamp_ns=sent.timestamp_ns // 1000 * 1000, labels=labels)
    return among_labels(as_severity(sent), lambda name: name.replace(".", "_"), as_text)


class SyslogTcpStage(TcpStage):
    schemes = ("syslog+tcp", "syslog+tls")
    cannot: ClassVar[Mapping[Case, str]] = {
        case: why for case, why in TcpStage.cannot.items() if case is not Case.REFUSED
    }

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._tcp = SyslogTcp()

    def kept(self, sent: Received) -> Received | None:
        return as_rfc5424_can(sent)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        yield TOO_LONG


class SyslogUdpStage(DatagramStage):
    schemes = ("syslog+udp",)
    cannot = CANNOT

    def made(self) -> DatagramReceiver:
        return SyslogDatagrams()

    @property
    def url(self) -> str:
        return f"syslog+udp://127.0.0.1:{self.receiver.port}"

    def kept(self, sent: Received) -> Received | None:
        return as_rfc5424_can(sent)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        yield TOO_LONG


class SyslogUnixStage(SyslogUdpStage):
    schemes = ("syslog+unix",)
    cannot: ClassVar[Mapping[Case, str]] = {**CANNOT, Case.NAMELESS: "a path is no name"}

    def made(self) -> DatagramReceiver:
        return SyslogDatagrams(self.directory / "log")

    @property
    def url(self) -> str:
        return f"syslog+unix://{self.receiver.path}?rfc=5424"
