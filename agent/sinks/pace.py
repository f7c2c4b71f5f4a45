"""How long to wait before a request is sent again. Tests give a pace that does not wait.

Full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): agents that failed together
do not come back together.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

RETRY_BASE_S, RETRY_MOST_S = 0.25, 30.0
HOLD_BASE_S, HOLD_MOST_S = 1.0, 60.0
#: A receiver that asks for a longer rest is asked again all the same.
AFTER_MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock a sink is retried by. Times are seconds.

    now      a monotonic time
    sleep    waits
    uniform  a number between its two arguments, at random
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def retry(self, attempt: int, after: float | None = None) -> float:
        """The wait after the `attempt`-th failure (from 1); not less than `after`, within `AFTER_MOST_S`."""
        jitter = self.uniform(0.0, _double(RETRY_BASE_S, attempt, RETRY_MOST_S))
        return jitter if after is None else max(jitter, min(after, AFTER_MOST_S))

    def hold(self, attempt: int) -> float:
        """The wait before the `attempt`-th probe (from 1) of what a person must mend."""
        longest = _double(HOLD_BASE_S, attempt, HOLD_MOST_S)
        return self.uniform(longest / 2, longest)


def _double(base: float, attempt: int, most: float) -> float:
    # 2**32 seconds are beyond any bound here, and 2.0**1024 is beyond a float.
    return min(most, base * 2.0 ** min(attempt - 1, 32))
