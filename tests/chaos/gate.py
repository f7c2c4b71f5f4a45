"""Stands before a receiver of a storm, at an address of its own, and makes trouble on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

from tests.receivers.proxy import reset

READ_BYTES = 16 * 1024
_SLOW_S = 0.05


class Gate:
    """Passes on what comes to `host` and `port`, both ways, to `behind` on 127.0.0.1.

    polite  never drops what it has read, and reads one connection after the other: for protocols that have nothing
            but TCP's own acknowledgement and order
    slow    it takes some 300 kB/s of each connection
    cuts    so many answers more are cut off in the middle; not if it is polite
    """

    def __init__(self, behind: int, *, polite: bool) -> None:
        self.host = "127.0.0.2"
        self.port = 0
        self.polite = polite
        self.slow = False
        self.cuts = 0
        self._behind = behind
        self._passing = asyncio.Event()
        self._passing.set()
        self._turn = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[Self]:
        """Pass on until the block ends."""
        await self.open()
        try:
            yield self
        finally:
            self._passing.set()
            await self.close()
            for caller in self._callers:
                caller.transport.abort()
            while self._callers:  # noqa: ASYNC110 - asyncio's own wait knows only of some Pythons' connections
                await asyncio.sleep(0.001)

    async def open(self) -> None:
        """Listen, at the port where it did before."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end every connection: at once, or once all that was sent has been read."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for caller in self._callers:
            if not self.polite:
                reset(caller.transport)
            elif not caller.transport.is_closing():
                caller.write_eof()

    def hush(self) -> None:
        """Accept, and neither read nor answer."""
        self._passing.clear()

    def speak(self) -> None:
        """Go on."""
        self._passing.set()

    async def _serve(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        self._callers.add(caller)
        async with self._turn if self.polite else contextlib.nullcontext():
            there, receiver = await asyncio.open_connection("127.0.0.1", self._behind)
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._pass(reader, receiver))
                    ways.create_task(self._pass(there, caller, answers=True))
            finally:
                for each in (caller, receiver):
                    each.transport.abort()
                    with contextlib.suppress(OSError):
                        await each.wait_closed()
                self._callers.discard(caller)

    async def _pass(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                await self._passing.wait()
                if answers and self.cuts and not self.polite:
                    self.cuts -= 1
                    to.write(data[: len(data) // 2])
                    await to.drain()
                    to.transport.close()
                    return
                if self.slow:
                    await asyncio.sleep(_SLOW_S)
                to.write(data)
                await to.drain()
        with contextlib.suppress(OSError):
            if to.can_write_eof():
                to.write_eof()
