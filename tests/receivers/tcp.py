"""A strict receiver of JSON lines over TCP or TLS, which can be as rude as any; the ground for other framings."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Self

from tests.receivers.proxy import reset
from tests.receivers.received import Faulty, Inbox, Received, read_line

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
        """Serve until the block ends, on `self.port`, the same again when listening anew.

        Not by asyncio's server: on Python 3.11 that forgets connections which it was about to accept.
        """
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            listener.setblocking(False)
            if self.deaf:
                listener.setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
                )  # its kernel takes next to nothing
            self.port = listener.getsockname()[1]
            async with asyncio.TaskGroup() as connections:
                accepting = connections.create_task(self._accept(listener, tls, connections))
                try:
                    yield self
                finally:
                    accepting.cancel()
                    self.hang_up()

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The whole frames in `data`, and what follows them. Raises Faulty."""
        *lines, rest = data.split(b"\n")
        return lines, rest

    def read(self, frame: bytes) -> Received:
        """The record in a frame. Raises Faulty."""
        return read_line(frame)

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    async def _accept(
        self, listener: socket.socket, tls: ssl.SSLContext | None, connections: asyncio.TaskGroup
    ) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            connections.create_task(self._serve(sock, tls))

    async def _serve(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=tls)
        except OSError:  # a handshake that failed
            sock.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self.connections += 1
        self._writers.add(writer)
        self.inbox.notify()
        try:
            if self.deaf:
                transport.pause_reading()
                await writer.wait_closed()
            else:
                await self._read(reader, writer)
        except OSError:
            self.endings.append("reset")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)
            self.inbox.notify()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest, seen = b"", 0
        while data := await reader.read(READ_BYTES):
            seen += len(data)
            if self.reset_after is not None and seen >= self.reset_after:
                self.reset_after = None
                reset(writer.transport)
                self.endings.append("reset")
                return
            if self.reset_after is None:
                rest = self._take(rest + data)
        self.endings.append("eof" if not rest else "cut")

    def _take(self, data: bytes) -> bytes:
        try:
            frames, rest = self.split(data)
            self.inbox.add([self.read(frame) for frame in frames])
        except (Faulty, ValueError, LookupError, TypeError) as error:
            self.inbox.fault(error)
            return b""
        return rest
