"""console, as a pipe that is read line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import cast

from agent.sinks.console import ConsoleSink
from tests.contract.local import CANNOT
from tests.contract.stage import Stage
from tests.receivers.received import Inbox, Received, read_line


class ConsoleStage(Stage):
    schemes = ("console",)
    cannot = CANNOT
    url = "console:?format=json"

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        ours, theirs = os.pipe()
        self._inbox = Inbox()
        self._fd = theirs
        reader = asyncio.StreamReader(limit=1 << 24)
        transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb")
        )
        with contextlib.closing(transport), os.fdopen(theirs, "wb"):
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(reader), name="reader of the pipe")
                yield
                reading.cancel()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self._inbox.add([read_line(line.removesuffix(b"\n"))])

    async def have(self, count: int) -> list[Received]:
        return await self._inbox.have(count)

    def sink(self, more: str = "") -> ConsoleSink:
        made = cast("ConsoleSink", super().sink(more))
        return ConsoleSink(made.target, made.options, fd=self._fd)
