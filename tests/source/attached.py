"""An attached connection of which the test holds the other end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable

from agent.engine.client import Attached
from agent.errors import EngineUnreachable
from agent.source.flow import Flow, Room
from agent.source.live import LiveLines


class Connection:
    """`ours` is what the agent reads, `theirs` the Engine's end. `send` what it prints, as a terminal does."""

    def __init__(self, room: Room, *, tty: bool = True) -> None:
        self.ours, self.theirs = socket.socketpair()
        self._chunks: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        lines = LiveLines(tty=tty, max_line_bytes=1 << 20)
        self.flow = Flow(Attached(self._body(), self.ours), lines, room, time.time_ns)

    def send(self, data: bytes) -> None:
        self._chunks.put_nowait(data)

    def end(self) -> None:
        self._chunks.put_nowait(b"")

    def fail(self) -> None:
        self._chunks.put_nowait(EngineUnreachable("cut"))

    @property
    def unread(self) -> int:
        return self._chunks.qsize()

    async def _body(self) -> AsyncIterator[bytes]:
        while chunk := await self._chunks.get():
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def is_cut(self) -> bool:
        """Whether the Engine's end has seen the end."""
        try:
            return self.theirs.recv(1, socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False


async def until(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Wait until this is so."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - another process's doing, or another task's
            await asyncio.sleep(0.002)
