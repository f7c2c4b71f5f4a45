"""file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tests.contract.local import CANNOT
from tests.contract.stage import Stage
from tests.receivers.received import Received, read_line


class FileStage(Stage):
    schemes = ("file",)
    cannot = CANNOT

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        yield

    @property
    def url(self) -> str:
        return f"file://{self.directory}/all.ndjson"

    async def have(self, count: int) -> list[Received]:
        """A file is read when all is delivered: there is nothing to wait for."""
        lines = (self.directory / "all.ndjson").read_bytes().splitlines(keepends=True)
        assert all(line.endswith(b"\n") for line in lines)
        assert len(lines) >= count
        return [read_line(line[:-1]) for line in lines]
