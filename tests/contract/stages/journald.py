"""journald: a strict reader of its native protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from tests.contract.datagrams import CANNOT, DatagramStage
from tests.contract.stage import Case
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.journald import NativeSocket
from tests.receivers.parsed import among_labels, as_severity, as_text
from tests.receivers.received import Received


class JournaldStage(DatagramStage):
    schemes = ("journald",)
    cannot: ClassVar[Mapping[Case, str]] = {
        **CANNOT,
        Case.REFUSED: "it takes whatever there is",
        Case.UTF8: "bytes stay as they are",
        Case.NAMELESS: "a path is no name",
    }

    def made(self) -> DatagramReceiver:
        return NativeSocket(self.directory / "socket", full_id=True)

    @property
    def url(self) -> str:
        return f"journald:?socket={self.receiver.path}&full_id=true"

    def kept(self, sent: Received) -> Received | None:
        """Names of labels and fields in the journal's letters."""
        sent = replace(sent, labels={_name(name): value for name, value in sent.labels.items()})
        return among_labels(as_severity(sent), _name, as_text)


def _name(name: str) -> str:
    return name.upper().replace(".", "_")
