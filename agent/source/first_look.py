"""Had a container's log rotated away already when it was looked at for the first time? Sans-I/O.

There is no mark then that could be missing. What tells is the time between the container's start and the first
record there is: at the pace of what follows, half a file could have been written in it; and the files that are kept
are full. A container that is silent at first and then fills them before we look is suspected, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from agent.source.lines import Records

_FILE_SHARE = 0.5
#: The files that are kept hold about so much of what they may: one has just been begun.
_FULL_SHARE = 0.9
_LEAST_BYTES = 64 << 10


class FirstLook:
    """Is told of the records of a log that nobody has read before, in its order.

    started_ns     when the container's first run began
    file_bytes     at how many bytes a file is rotated
    rotated_bytes  how much the rotated files hold together
    encoded        how many bytes records take in them
    """

    def __init__(
        self, started_ns: int, file_bytes: int, rotated_bytes: int, encoded: Callable[[Records], float]
    ) -> None:
        self._started_ns = started_ns
        self._file_bytes = file_bytes
        self._rotated_bytes = rotated_bytes
        self._encoded = encoded
        self._size = 0.0
        self._times: tuple[int, int] | None = None
        self._looked_ns = 0
        self._done = False

    def see(self, records: Records, now_ns: int) -> int | None:
        """These were taken by now. The time of the first record, once it is clear that some before it are gone."""
        if self._done or not records:
            return None
        if self._times is None:
            self._times, self._looked_ns = (records.stamps[0], records.stamps[0]), now_ns
        there = records.take(slice(0, bisect_right(records.stamps, self._looked_ns)))
        if there:
            self._size += self._encoded(there)
            self._times = self._times[0], there.stamps[-1]
        return None if len(there) == len(records) else self.end()

    def end(self) -> int | None:
        """There was nothing more when it was looked at. As `see`."""
        done, self._done = self._done, True
        if done or self._times is None or self._size < max(_FULL_SHARE * self._rotated_bytes, _LEAST_BYTES):
            return None
        first_ns, last_ns = self._times
        unseen = (first_ns - self._started_ns) * self._size / max(last_ns - first_ns, 1)
        return first_ns if unseen >= _FILE_SHARE * self._file_bytes else None
