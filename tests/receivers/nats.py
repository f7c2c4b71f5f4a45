"""nats-server itself, with JetStream on disk, and a reader of its stream: nats-py, which the sink does not use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.js.api import StreamConfig

from tests.receivers.program import free_port, listening, plain_environment, running
from tests.receivers.received import DEADLINE_S, Faulty, Received, read_line

STREAM = "LOGS"
SUBJECT = "logs"


class NatsServer:
    """A server on loopback and its stream, `logs.>`; what it stored outlives `kill`.

    users  as in its configuration, beside `admin`, whom it takes for who says nothing of himself
    more   of its configuration; None: not that
    tls    of its configuration's `tls`; `trust`: how the reader then connects
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Sequence[dict[str, Any]] = (),
        tls: dict[str, Any] | None = None,
        trust: ssl.SSLContext | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.port = free_port()
        self.users = list(users)
        self.log = directory / "nats.log"
        self.admin: Client
        self._config = directory / "nats.conf"
        self._store = directory / "jetstream"
        self._tls = tls
        self._trust = trust
        self._more = more or {}
        self._pid = 0
        self._up = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """It is there while the block lasts, with its stream."""
        await self.start()
        try:
            await self.admin.jetstream().add_stream(name=STREAM, subjects=[f"{SUBJECT}.>"])
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        """Listen, where it listened before."""
        await self.start_alone()
        self.admin = Client()
        await self.admin.connect(
            f"nats://127.0.0.1:{self.port}",
            user="admin",
            password="admin",
            tls=self._trust,
            allow_reconnect=False,
            error_cb=_ignore,
        )
        self._up.push_async_callback(self.admin.close)

    async def start_alone(self) -> None:
        """The same, for a server that knows no `admin`."""
        self._write_config()
        self._pid = self._up.enter_context(
            running(
                ["nats-server", "-c", self._config],
                log=self.log,
                ready=lambda: listening(self.port),
                env=plain_environment(HOME=str(self._config.parent)),
            )
        )

    async def stop(self) -> None:
        """End it in good order."""
        await self._up.aclose()

    async def kill(self) -> None:
        """End it by SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)
        await self._up.aclose()

    def reload(self) -> None:
        """Have it take in what `users` has become."""
        self._write_config()
        os.kill(self._pid, signal.SIGHUP)

    def _write_config(self) -> None:
        users = [{"user": "admin", "password": "admin"}, *self.users]
        config: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "jetstream": {"store_dir": str(self._store)},
            "accounts": {"LOGS": {"jetstream": "enabled", "users": users}},
            "no_auth_user": "admin",
            **self._more,
        }
        if self._tls:
            config["tls"] = self._tls
        config = {name: value for name, value in config.items() if value is not None}
        self._config.write_text(json.dumps(config), "utf-8")  # its language holds JSON's

    async def limit(self, **limits: object) -> None:
        """Give the stream these limits; one not named is not there."""
        config = StreamConfig(name=STREAM, subjects=[f"{SUBJECT}.>"], discard="new", **limits)  # type: ignore[arg-type]
        await self.admin.jetstream().update_stream(config)

    async def stored(self, count: int) -> int:
        """How many messages there are, once there are so many. Raises TimeoutError."""
        async with asyncio.timeout(DEADLINE_S):
            stream = self.admin.jetstream()
            while (there := (await stream.stream_info(STREAM)).state.messages) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return there

    async def have(self, count: int, *, seconds: float = DEADLINE_S) -> list[tuple[str, Received]]:
        """Subject and record of each message, once there are so many. Raises Faulty, TimeoutError."""
        there, found = await self.stored(count), list[tuple[str, Received]]()
        stream = self.admin.jetstream()
        if not there:
            return found
        async with asyncio.timeout(seconds):
            subscription = await stream.subscribe(f"{SUBJECT}.>", stream=STREAM, ordered_consumer=True)
            async for message in subscription.messages:
                record = read_line(message.data)
                levels = {"Level": record.level} if record.level else {}
                if message.headers != {"Nats-Msg-Id": record.id, **levels}:
                    raise Faulty(f"record {record.id} came with the headers {message.headers}")
                found.append((message.subject, record))
                if len(found) == there:
                    break
            await subscription.unsubscribe()
        return found


async def _ignore(error: Exception) -> None:
    """What the reader finds when the server is killed."""
