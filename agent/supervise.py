"""Supervision: a part that fails is restarted, not the process. The one place that outlives any error."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from agent.errors import UsageError
from agent.metrics import Metrics

log = logging.getLogger(__name__)

_FIRST_S, _LONGEST_S = 0.5, 60.0
#: After so long without an error, the next one is the first again.
_SETTLED_S = 120.0


async def supervise(part: str, run: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
    """Run `run()` until it returns; after an error run it again, later each time it fails soon.

    What a person has to mend is no failure: a UsageError passes through. What fails while it is cancelled is not
    begun again, as that would swallow the cancellation: a TaskGroup that shuts down raises at whoever starts a
    task in it.
    """
    failures = 0
    while True:
        began = time.monotonic()
        try:
            await run()
        except UsageError:
            raise
        except Exception as error:
            if _cancelled():
                raise asyncio.CancelledError from error
            if time.monotonic() - began > _SETTLED_S:
                failures = 0
            pause = min(_FIRST_S * 2**failures, _LONGEST_S) * random.uniform(0.5, 1)
            failures = min(failures + 1, 16)
            metrics.restarts.labels(part).inc()
            log.exception("%s failed; this is a fault of Dockferry. It begins again in %.1f s", part, pause)
            await asyncio.sleep(pause)
        else:
            return


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
