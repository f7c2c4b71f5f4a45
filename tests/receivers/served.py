"""A server for one connection that does whatever a test wants of it, and is over when the test is."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from tests.receivers.received import DEADLINE_S

Dialogue: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(
    by: Dialogue, *, tls: ssl.SSLContext | None = None, path: Path | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Host and port (of a Unix socket at `path`: its path and 0) of a server that is `by` to one connection.

    It hangs up when `by` returns; the block's end waits for that.
    """
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await by(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            over.set()

    if path is not None:
        server = await asyncio.start_unix_server(serve, path)
        where = (str(path), 0)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        where = server.sockets[0].getsockname()
    async with server:
        yield where
        async with asyncio.timeout(DEADLINE_S):
            await over.wait()
