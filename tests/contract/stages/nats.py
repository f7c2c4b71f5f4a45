"""nats, nats+tls: a stream of a real nats-server."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.contract.stage import Case, Shared, Stage, Tls
from tests.receivers.nats import SUBJECT, NatsServer
from tests.receivers.proxy import Proxy
from tests.receivers.received import Received

LONGEST_BYTES = 8_192


class NatsStage(Stage):
    schemes = ("nats", "nats+tls")
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.SPLIT: "each record is a message of its own: NATS knows no size of a request",
    }

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        user = {"user": "agent", "password": self.secret}
        self.server = NatsServer(directory, users=[user], **(_tls(tls) if tls else {}))
        self._proxy = Proxy("127.0.0.1", self.server.port)

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        async with self.server.standing(), self._proxy.listening():
            yield

    @property
    def url(self) -> str:
        scheme = self.schemes[-1 if self.tls else 0]
        return f"{scheme}://agent:{self.secret}@127.0.0.1:{self._proxy.port}/{SUBJECT}.{{{{.Name}}}}"

    async def have(self, count: int) -> list[Received]:
        return [record for _, record in await self.server.have(count)]

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        """The stream is as full as it may be."""
        await self.server.admin.jetstream().publish(f"{SUBJECT}.filler", b"")
        await self.server.limit(max_msgs=1)
        yield None
        await self.server.admin.jetstream().purge_stream("LOGS")
        await self.server.limit()

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        await self.server.limit(max_bytes=1)
        yield
        await self.server.limit()

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        await self.server.limit(max_msg_size=LONGEST_BYTES)
        yield b"x" * LONGEST_BYTES

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self._proxy.reset_after = 200_000
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self.server.users[0]["password"] = "another"
        self.server.reload()
        yield
        self.server.users[0]["password"] = self.secret
        self.server.reload()

    @contextlib.asynccontextmanager
    async def absent(self) -> AsyncIterator[None]:
        """Killed, as by kill -9; what it acknowledged is there again afterwards."""
        await self.server.kill()
        yield
        await self.server.start()


def _tls(tls: Tls) -> dict[str, Any]:
    """How the server shows itself, and how its reader takes that."""
    chain, key = tls.files()
    trust = ssl.create_default_context(cafile=tls.ca.ca_file)
    trust.check_hostname = False
    trust.load_cert_chain(*tls.ca.client("reader.example"))
    shown: dict[str, Any] = {"cert_file": str(chain), "key_file": str(key)}
    if tls.clients:
        shown |= {"ca_file": str(tls.ca.ca_file), "verify": True}
    return {"tls": shown, "trust": trust}
