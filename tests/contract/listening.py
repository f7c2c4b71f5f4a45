"""The ground for stages on which one thing listens: a receiver of the tests, or the proxy before a real server."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.contract.stage import Shared, Stage, Tls


class ListeningStage(Stage):
    """It stands, and is absent, as that listens."""

    def __init__(self, directory: Path, shared: Shared, tls: Tls | None) -> None:
        super().__init__(directory, shared, tls)
        self._up = contextlib.AsyncExitStack()

    @abc.abstractmethod
    def listening(self) -> AbstractAsyncContextManager[object]:
        """It listens while the block lasts, and each time at the same place."""

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        await self._up.enter_async_context(self.listening())
        try:
            yield
        finally:
            await self._up.aclose()

    @contextlib.asynccontextmanager
    async def absent(self) -> AsyncIterator[None]:
        await self._up.aclose()
        yield
        await self._up.enter_async_context(self.listening())
