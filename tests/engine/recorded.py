"""Stands between the agent and an Engine and writes down what is asked: method, path and parameters.

What comes back is passed on as it is. What goes there is read as HTTP, request by request, until one of them takes
the connection over (`attach`): what the client sends after that would be a container's standard input, and is
counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_READ_BYTES = 64 * 1024
_VERSION = re.compile(r"^/v\d+\.\d+(?=/)")
_ID = re.compile(r"^/containers/[^/]+/")


@dataclass(frozen=True, slots=True, order=True)
class Asked:
    """One request, without version and container: what a rule of a proxy would speak of."""

    method: str
    path: str
    parameters: tuple[str, ...] = ()

    @classmethod
    def of(cls, head: bytes) -> Self:
        """From a request's head."""
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        parts = urlsplit(target)
        path = _ID.sub("/containers/{id}/", _VERSION.sub("", parts.path))
        names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
        return cls(method, path, tuple(names))


class Recorder:
    """Listens on a socket of its own, in a thread, while its `with` lasts.

    asked      every request so far, in order
    said_more  bytes that were sent after a connection was taken over
    faults     what was no request that can be judged
    """

    def __init__(self, engine: str, path: Path) -> None:
        self.asked: list[Asked] = []
        self.said_more = 0
        self.faults: list[str] = []
        self.host = f"unix://{path}"
        self._engine = engine.removeprefix("unix://")
        self._path = path
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()
        self._do(_settled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many are open to the Engine."""
        return len(self._writers) // 2

    def go_away(self) -> None:
        """As an Engine that ends: no socket, and every connection is cut."""
        self._do(self._go_away())

    def come_back(self) -> None:
        """Listen again."""
        self._do(self._come_back())

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(30)

    async def _come_back(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def _go_away(self) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._engine)
        both = {writer, back}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._record(reader, back))
                ways.create_task(_copy(there, writer))
        finally:
            for each in both:
                each.transport.abort()
            self._writers -= both

    async def _record(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # it hung up
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                asked = Asked.of(head)
                self.asked.append(asked)
                fields = head.lower()
                if b"\r\ntransfer-encoding:" in fields:
                    self.faults.append(f"a body of unknown length: {asked}")
                to.write(head)
                if length := re.search(rb"\r\ncontent-length: *(\d+)", fields):
                    to.write(await reader.readexactly(int(length[1])))
                await to.drain()
                if asked.path.endswith("/attach") or b"\r\nupgrade:" in fields:
                    while data := await reader.read(_READ_BYTES):
                        self.said_more += len(data)
                        to.write(data)
                        await to.drain()
                    break
        to.transport.abort()


async def _copy(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_READ_BYTES):
            to.write(data)
            await to.drain()
    to.transport.abort() if to.transport.is_closing() else to.close()


async def _settled() -> None:
    """Every connection's task has ended."""
    while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - a server's tasks are nobody's to wait for
        await asyncio.sleep(0.01)
