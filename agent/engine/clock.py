"""The Engine's clock beside ours: whoever sets either, the times of live output stay those of the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from agent.batch import NS
from agent.errors import EngineError

#: The Engine tells its time in whole seconds; within so much of what we think it is, it is right.
_TOLERANCE_NS: Final = 2 * NS
_LOOK_EVERY_S: Final = 1.0
#: After so many looks the Engine is asked in any case: its own clock may have been set.
_LOOKS: Final = 60


class EngineClock:
    """Called, it tells the Engine's time, ns since the epoch, as far as it is known.

    ask        the Engine's answer when it is asked for its time (`EngineClient.now_ns`); raises EngineError
    ours       our clock, ns since the epoch
    monotonic  what nobody sets, ns
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[int]],
        *,
        ours: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._ask, self._ours, self._monotonic = ask, ours, monotonic
        self._offset_ns = 0
        self._apart_ns = ours() - monotonic()

    def __call__(self) -> int:
        return self._ours() + self._offset_ns

    async def measure(self) -> int:
        """Ask the Engine, and go by its answer from now on if it is another time; the time. Raises EngineError."""
        self._apart_ns = self._ours() - self._monotonic()
        told_ns = await self._ask()
        if abs(told_ns - self()) > _TOLERANCE_NS:
            self._offset_ns = told_ns - self._ours()
        return self()

    async def keep(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Measure now and then, and soon after our own clock was set. For ever; an Engine that is away is left."""
        looks = 0
        while True:
            await pause(_LOOK_EVERY_S)
            looks += 1
            was_set = abs(self._ours() - self._monotonic() - self._apart_ns) > _TOLERANCE_NS
            if was_set or looks >= _LOOKS:
                looks = 0
                try:
                    await self.measure()
                except EngineError:
                    continue
