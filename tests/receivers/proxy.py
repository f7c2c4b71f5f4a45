"""Stands between a sink and a real server, and makes the trouble that the server would not.

It can be gone, cut a connection in the middle, and speak TLS for a server that does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Self

READ_BYTES = 64 * 1024


class Proxy:
    """Passes on what comes to `port` on loopback, both ways.

    reset_after  bytes from the client after which it resets that (one) connection
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.reset_after: int | None = None
        self._server = (host, port)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Pass on until the block ends, on `self.port`, the same again when listening anew."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            while self._writers:  # noqa: ASYNC110 - asyncio's own wait knows only of some Pythons' connections
                await asyncio.sleep(0.001)

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(*self._server)
        except OSError:
            await self._end(writer)
            return
        self._writers.add(back)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(self._pass(reader, back, client=writer))
            ways.create_task(self._pass(there, writer))

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        client: asyncio.StreamWriter | None = None,
    ) -> None:
        seen = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                seen += len(data)
                if client is not None and self.reset_after is not None and seen >= self.reset_after:
                    self.reset_after = None
                    reset(client.transport)
                    break
                to.write(data)
                await to.drain()
        await self._end(to)

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._writers.discard(writer)


def reset(transport: asyncio.WriteTransport) -> None:
    """End the connection with a RST rather than a FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
