"""When which container is asked about: each once an interval, all of them spread over it. Sans-I/O.

Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

import heapq
import zlib
from typing import Final

_PHASES: Final = 1 << 32


class Timetable:
    """Containers by id, and when it is their turn. A container's id decides where in the interval that is."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def add(self, id: str, now: float) -> None:
        """It is asked about from now on, the first time within an interval."""
        if id not in self._due:
            self._set(id, now + zlib.crc32(id.encode()) / _PHASES * self.interval_s)

    def drop(self, id: str) -> None:
        """It is no longer asked about."""
        self._due.pop(id, None)

    def wait(self, now: float) -> float:
        """Seconds until somebody's turn; an interval at most."""
        self._forget()
        return min(max(self._heap[0][0] - now, 0.0), self.interval_s) if self._heap else self.interval_s

    def take(self, now: float) -> str | None:
        """Whose turn it is; its next is an interval later, or where that is past already, the one after."""
        self._forget()
        if not self._heap or self._heap[0][0] > now:
            return None
        due, first = self._heap[0]
        missed = (now - due) // self.interval_s
        self._set(first, due + (missed + 1) * self.interval_s)
        return first

    def _set(self, id: str, due: float) -> None:
        self._due[id] = due
        heapq.heappush(self._heap, (due, id))

    def _forget(self) -> None:
        """Take away what is past, or of one that was dropped."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
