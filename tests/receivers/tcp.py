"""A strict receiver of JSON lines over TCP or TLS, which can be as rude as any."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Self

from tests.receivers.received import Faulty, Inbox, read_line

READ_BYTES = 64 * 1024


class TcpReceiver:
    """A server on loopback that keeps every whole line in `inbox`.

    reset_after  bytes after which it resets the (one) next connection; what it has read of it is forgotten
    deaf         it accepts connections and reads nothing
    connections  how many were accepted
    endings      how connections ended: "eof" (with TLS: a proper good-bye), "cut", "reset"
    """

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.reset_after: int | None = None
        self.deaf = False
        self.connections = 0
        self.endings: list[str] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        """Serve until the block ends, on `self.port`, the same again when listening anew."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls, limit=READ_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            await self.inbox.until(lambda: not self._writers)

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self.inbox.notify()
        try:
            if self.deaf:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await writer.wait_closed()
            else:
                await self._read(reader, writer)
        except (ConnectionError, ssl.SSLError):
            self.endings.append("reset")
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.inbox.notify()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest, seen = b"", 0
        while data := await reader.read(READ_BYTES):
            seen += len(data)
            if self.reset_after is not None and seen >= self.reset_after:
                self.reset_after = None
                _reset(writer)
                self.endings.append("reset")
                return
            if self.reset_after is None:
                *lines, rest = (rest + data).split(b"\n")
                self._take(lines)
        self.endings.append("eof" if not rest else "cut")

    def _take(self, lines: list[bytes]) -> None:
        try:
            self.inbox.add([read_line(line) for line in lines])
        except (Faulty, ValueError, LookupError, TypeError) as error:
            self.inbox.fault(error)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a RST rather than a FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
