"""The event loop of the agent: asyncio's own, with timers finer than a millisecond.

epoll_wait(2) counts in milliseconds, and Python rounds up. A busy container fills its socket in less, so a wait
of half a millisecond has to be just that. kqueue, elsewhere, counts in nanoseconds.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys

_MILLISECOND_S = 0.001

if sys.platform == "linux":

    class FineSelector(selectors.EpollSelector):
        """Waits by select(2), which counts in microseconds, for the epoll descriptor to be readable."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and 0 < timeout < _MILLISECOND_S:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop for `asyncio.Runner`."""
    return asyncio.SelectorEventLoop(FineSelector()) if sys.platform == "linux" else asyncio.new_event_loop()
