"""The event loop of the agent: asyncio's own, with timers finer than a millisecond and one complaint fewer.

epoll_wait(2) counts in milliseconds, and Python rounds up. A busy container fills its socket in less, so a wait
of half a millisecond has to be just that. kqueue, elsewhere, counts in nanoseconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import select
import selectors
import sys
from typing import Any, Final

log = logging.getLogger(__name__)

_MILLISECOND_S = 0.001
_NO_MORE: Final = frozenset({errno.EMFILE, errno.ENFILE})
_SAID_EVERY_S: Final = 60.0

if sys.platform == "linux":

    class FineSelector(selectors.EpollSelector):
        """Waits by select(2), which counts in microseconds, for the epoll descriptor to be readable."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and 0 < timeout < _MILLISECOND_S:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)


class Complaints:
    """An exception handler that names a lack of descriptors once a minute; asyncio would at each try to accept."""

    def __init__(self) -> None:
        self._quiet_until = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _NO_MORE:
            loop.default_exception_handler(context)
        elif loop.time() >= self._quiet_until:
            self._quiet_until = loop.time() + _SAID_EVERY_S
            log.warning("no file descriptor is left (ulimit -n): who connects to the agent has to wait")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop for `asyncio.Runner`."""
    if sys.platform == "linux":
        loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(FineSelector())
    else:
        loop = asyncio.new_event_loop()
    loop.set_exception_handler(Complaints())
    return loop
