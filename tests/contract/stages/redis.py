"""redis, rediss: a stream and a list of a real Redis."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, cast

from tests.contract.listening import ListeningStage
from tests.contract.play import DEADLINE_S
from tests.contract.stage import Case, Shared, Tls
from tests.receivers.program import until
from tests.receivers.proxy import Proxy
from tests.receivers.received import Faulty, Received, read_line
from tests.receivers.redis import PASSWORD, USER, RedisServer, redis_server

LONGEST_BYTES = 1 << 20  # the least that Redis lets itself be limited to


class RedisStage(ListeningStage):
    schemes = ("redis", "rediss")
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.SPLIT: "Redis knows no size of a request, only of a record",
    }
    secret = PASSWORD
    options = ""

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._redis: RedisServer = shared.once(redis_server)
        self._key = f"logs-{directory.name}"
        self._proxy = Proxy("127.0.0.1", self._redis.port, tls.context() if tls else None)

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self._proxy.listening()

    @property
    def url(self) -> str:
        scheme = self.schemes[-1 if self.tls else 0]
        return f"{scheme}://{USER}:{self.secret}@127.0.0.1:{self._proxy.port}/0/{self._key}{self.options}"

    async def have(self, count: int) -> list[Received]:
        until(lambda: self._count() >= count, DEADLINE_S)
        return self._received()

    def _count(self) -> int:
        return int(self._redis.admin.xlen(self._key))

    def _received(self) -> list[Received]:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.admin.xrange(self._key))
        return [_read(fields) for _, fields in entries]

    @contextlib.asynccontextmanager
    async def throttling(self) -> AsyncIterator[float | None]:
        with self._set("maxmemory", 1):
            yield None

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self._redis.admin.replicaof("127.0.0.1", 1)
        yield
        self._redis.admin.replicaof("NO", "ONE")

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        """Redis says why and hangs up while the record is still coming, which the proxy would not pass on."""
        async with self.absent():
            with self._set("proto-max-bulk-len", LONGEST_BYTES), self._set("port", self._proxy.port):
                yield b"x" * LONGEST_BYTES

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self._proxy.reset_after = 200_000
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self._redis.admin.acl_setuser(USER, enabled=True, reset_passwords=True, passwords=["+other"])
        yield
        self._redis.admin.acl_setuser(USER, enabled=True, reset_passwords=True, passwords=[f"+{PASSWORD}"])

    @contextlib.contextmanager
    def _set(self, name: str, value: int) -> Iterator[None]:
        before = str(self._redis.admin.config_get(name)[name])
        self._redis.admin.config_set(name, value)
        try:
            yield
        finally:
            self._redis.admin.config_set(name, before)


class RedisListStage(RedisStage):
    options = "?type=list"

    def _count(self) -> int:
        return int(self._redis.admin.llen(self._key))

    def _received(self) -> list[Received]:
        return [
            read_line(record) for record in cast("list[bytes]", self._redis.admin.lrange(self._key, 0, -1))
        ]


def _read(entry: dict[bytes, bytes]) -> Received:
    """What is in an entry: the record, its level beside it, and nothing else."""
    record = read_line(entry[b"record"])
    beside = {b"level": record.level.encode()} if record.level else {}
    if entry != {b"record": entry[b"record"], **beside}:
        raise Faulty(f"an entry of {entry}")
    return record
