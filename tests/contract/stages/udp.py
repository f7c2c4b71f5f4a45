"""udp: JSON lines, a datagram each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

from tests.contract.datagrams import CANNOT, DatagramStage
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.received import Faulty, Received, read_line


class LineDatagrams(DatagramReceiver):
    """Takes one JSON line a datagram."""

    def read(self, datagram: bytes) -> Iterable[Received]:
        if datagram.count(b"\n") != 1 or not datagram.endswith(b"\n"):
            raise Faulty("a datagram that is not one line")
        return [read_line(datagram[:-1])]


class UdpStage(DatagramStage):
    schemes = ("udp",)
    cannot = CANNOT

    def made(self) -> DatagramReceiver:
        return LineDatagrams()

    @property
    def url(self) -> str:
        return f"udp://127.0.0.1:{self.receiver.port}"

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        yield b"x" * 65_507
