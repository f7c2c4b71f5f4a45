"""http, https: a table of a real ClickHouse, made and filled as docs/sinks/http.md says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import orjson

from tests.contract.listening import ListeningStage
from tests.contract.play import DEADLINE_S
from tests.contract.stage import Case, Shared, Tls
from tests.receivers.clickhouse import PASSWORD, USER, ClickHouse, clickhouse
from tests.receivers.program import until
from tests.receivers.proxy import Proxy
from tests.receivers.received import Received, nanoseconds

PAGE = Path(__file__).parents[3] / "docs/sinks/http.md"
ADDRESS = "https://user:password@clickhouse.example.com:8443"
POISON = b"poison"


class ClickHouseStage(ListeningStage):
    schemes = ("http", "https")
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.SPLIT: "ClickHouse knows no size of a request",
        Case.THROTTLED: "ClickHouse has no word for it",
    }
    secret = PASSWORD

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self.server: ClickHouse = shared.once(clickhouse)
        self.table = re.sub(r"\W", "_", f"logs_{directory.name}")
        self._proxy = Proxy("127.0.0.1", self.server.port, tls.context() if tls else None)

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        page = PAGE.read_text("utf-8")
        [create] = re.findall(r"^```sql\n(.*?);\n```$", page, re.DOTALL | re.MULTILINE)
        [url] = re.findall(rf"^    ({re.escape(ADDRESS)}\S+)$", page, re.MULTILINE)
        self._documented: str = url
        self.server.ask(create.replace("TABLE logs", f"TABLE {self.table}"))
        try:
            async with super().standing():
                yield
        finally:
            self.server.ask(f"DROP TABLE {self.table}")

    def listening(self) -> AbstractAsyncContextManager[object]:
        return self._proxy.listening()

    @property
    def url(self) -> str:
        scheme = self.schemes[-1 if self.tls else 0]
        address = f"{scheme}://{USER}:{self.secret}@127.0.0.1:{self._proxy.port}"
        return self._documented.replace(ADDRESS, address).replace("%2520logs%2520", f"%2520{self.table}%2520")

    async def have(self, count: int) -> list[Received]:
        """A table has no order but the one that is asked for."""
        until(lambda: int(self.server.ask(f"SELECT count() FROM {self.table}")) >= count, DEADLINE_S)
        rows = self.server.ask(f"SELECT * FROM {self.table} ORDER BY timestamp FORMAT JSONEachRow")
        return [_read(orjson.loads(row)) for row in rows.splitlines()]

    def kept(self, sent: Received) -> Received | None:
        """18.16 has no column for labels or fields whose names are not known."""
        return replace(sent, labels={}, fields={})

    @contextlib.asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        with self._column("throwIf(message != '')"):
            yield

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[bytes]:
        with self._column(f"toDateTime(if(message = '{POISON.decode()}', 'no time', '2026-11-23 10:47:58'))"):
            yield POISON

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        self._proxy.reset_after = 200_000
        yield

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        with self.server.locked():
            yield

    @contextlib.asynccontextmanager
    async def absent(self) -> AsyncIterator[None]:
        async with super().absent():
            with self.server.down():
                yield

    @contextlib.contextmanager
    def _column(self, value: str) -> Iterator[None]:
        """There is one more, which is worked out for each row."""
        self.server.ask(f"ALTER TABLE {self.table} ADD COLUMN more String MATERIALIZED toString({value})")
        yield
        self.server.ask(f"ALTER TABLE {self.table} DROP COLUMN more")


def _read(row: dict[str, Any]) -> Received:
    """Every column of the table."""
    return Received(
        message=row["message"],
        timestamp_ns=nanoseconds(row["timestamp"]),
        stream=row["stream"],
        container=row["container.name"],
        container_id=row["container.id"],
        image=row["container.image"],
        host=row["host"],
        tag=row["tag"],
        project=row["container.project"],
        service=row["container.service"],
        truncated=bool(row["truncated"]),
        level=row["level"] or None,
        id=row["id"],
    )
