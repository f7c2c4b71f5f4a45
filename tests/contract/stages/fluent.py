"""fluent+tcp, fluent+tls, fluent+unix: a receiver with a shared key and users, and one without."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from agent.encode.forward import CHUNK_BYTES
from tests.contract.listening import ListeningStage
from tests.contract.stage import Case, Shared, Tls
from tests.receivers.forward import ForwardReceiver
from tests.receivers.received import Received

_OPEN = "there are no credentials but a certificate"


class FluentStage(ListeningStage):
    schemes: ClassVar[tuple[str, ...]] = ("fluent+tcp", "fluent+tls")
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.SPLIT: "the receiver hangs up, or says nothing; the sink keeps to what is known of receivers",
        Case.THROTTLED: "the receiver hangs up, as in trouble of any kind",
    }

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self.forward = self.made()

    def made(self) -> ForwardReceiver:
        return ForwardReceiver(shared_key=self.secret, users={"me": self.secret})

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self.forward.listening(self.tls.context() if self.tls else None)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.forward.port}"

    @property
    def url(self) -> str:
        scheme = self.schemes[-1 if self.tls else 0]
        return f"{scheme}://me:{self.secret}@{self.address}?shared_key={self.secret}"

    async def have(self, count: int) -> list[Received]:
        return await self.forward.inbox.have(count)

    def kept(self, sent: Received) -> Received | None:
        return replace(sent, tag=None)  # it is the message's, and so is how an event is routed

    def forgive(self) -> None:
        self.forward.inbox.faults.clear()

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        """What Fluentd does when its buffer is full."""
        self.forward.script += ["hang up", "hang up"]
        yield

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        """The sink itself does: no receiver takes this."""
        yield b"x" * CHUNK_BYTES

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self.forward.reset_after = 50_000
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self.forward.shared_key = "of another"
        yield
        self.forward.shared_key = self.secret


class FluentBitStage(FluentStage):
    """Which hangs up at a wrong key."""

    def made(self) -> ForwardReceiver:
        return ForwardReceiver(shared_key=self.secret, users={"me": self.secret}, like="fluent-bit")


class FluentGzipStage(FluentStage):
    cannot: ClassVar[Mapping[Case, str]] = {**FluentStage.cannot, Case.LOCKED: _OPEN}

    def made(self) -> ForwardReceiver:
        return ForwardReceiver()

    @property
    def url(self) -> str:
        return f"{self.schemes[-1 if self.tls else 0]}://{self.address}?compress=gzip"


class FluentUnixStage(FluentStage):
    schemes = ("fluent+unix",)
    cannot: ClassVar[Mapping[Case, str]] = {
        **FluentStage.cannot,
        Case.NAMELESS: "a socket has a path",
        **dict.fromkeys(
            [Case.TLS, Case.UNTRUSTED, Case.WRONG_NAME, Case.UNVERIFIED, Case.OURS], "it has no TLS"
        ),
    }

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="fluent") as short:
            self._path = f"{short}/fluent.sock"
            async with super().standing():
                yield

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        connections: set[asyncio.StreamWriter] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.add(writer)
            with contextlib.suppress(OSError):
                await self.forward.converse(reader, writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            connections.discard(writer)

        server = await asyncio.start_unix_server(serve, self._path)
        yield
        server.close()
        with contextlib.suppress(FileNotFoundError):  # from Python 3.13 on, asyncio does it
            os.unlink(self._path)  # noqa: PTH108 - not a pathlib call in an async function
        for writer in connections:
            writer.transport.abort()
        while connections:  # noqa: ASYNC110 - asyncio's own wait knows only of some Pythons' connections
            await asyncio.sleep(0.001)

    @property
    def url(self) -> str:
        return f"fluent+unix://{self._path}?user=me&password={self.secret}&shared_key={self.secret}"
