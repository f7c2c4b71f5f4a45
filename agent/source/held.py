"""An answer of the Engine that is asked for now and read later: what it has opened cannot go away meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from agent.errors import EngineError


@contextlib.asynccontextmanager
async def unwrapped_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises its body's own error as it is."""
    failure = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - it is raised below
            failure = error
    if failure is not None:
        raise failure


class Held(AsyncIterator[bytes]):
    """A task of the group holds the answer open until `close`. Its bytes; raises EngineError.

    opening  asks for it
    after_s  not before so many seconds
    """

    def __init__(
        self,
        opening: AbstractAsyncContextManager[AsyncIterator[bytes]],
        tasks: asyncio.TaskGroup,
        *,
        after_s: float = 0,
        name: str,
    ) -> None:
        self._body: AsyncIterator[bytes]
        self._first: asyncio.Future[bytes] = asyncio.Future()
        self._given = False
        self._task = tasks.create_task(self._hold(opening, after_s), name=name)

    @property
    def begun(self) -> bool:
        """Whether anything came of it, if only its end."""
        return self._first.done()

    async def wait(self) -> bytes:
        """The first bytes, none if it is empty, without taking them."""
        return await asyncio.shield(self._first)

    async def __anext__(self) -> bytes:
        if self._given:
            return await anext(self._body)
        first = await self.wait()
        if not first:
            raise StopAsyncIteration
        self._given = True
        return first

    def close(self) -> None:
        """Let it go, or ask no more."""
        self._task.cancel()

    async def _hold(self, opening: AbstractAsyncContextManager[AsyncIterator[bytes]], after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            async with opening as self._body:
                self._first.set_result(await anext(self._body, b""))
                await asyncio.Event().wait()  # until it is closed
        except EngineError as error:
            self._first.set_exception(error)
            self._first.exception()  # it may be that nobody asks
