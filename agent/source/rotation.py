"""Did the Engine's files rotate faster than it read them to us? Sans-I/O.

A follower that is two rotations behind is never given the files between (moby daemon/logger/loggerutils,
follow.go), and is not told. What shows is a jump in the records' times while we are behind, as long as the
writer needs to fill a good part of a file. Such a jump proves nothing; it says where to look: a read without
follow opens every file there still is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from operator import sub

from agent.batch import NS
from agent.options import size
from agent.source.lines import Records

#: Fresher than this, nothing can have rotated away unread.
_LIVE_NS = NS // 50
_FILE_SHARE = 0.25
_LOCAL_FILE_BYTES = 20 << 20
_ENCODED_OVERHEAD = 60
_WINDOW_BYTES = 256 << 10


def file_bytes(driver: str, log_options: Mapping[str, str]) -> int | None:
    """At how many bytes the Engine's log files of a container rotate; None: never, or not by size.

    Source: the drivers' documentation; drivers that cannot be read back have the `local` cache.
    """
    if driver in {"journald", "none"}:
        return None
    if driver in {"json-file", "local"} and log_options.get("max-size"):
        try:
            return size(log_options["max-size"])
        except ValueError:
            return None
    return None if driver == "json-file" else _LOCAL_FILE_BYTES


def compressed(driver: str, log_options: Mapping[str, str]) -> bool:
    """Whether rotated files are compressed: by default with `local`, and with the cache of other drivers."""
    if driver in {"json-file", "local"}:
        return log_options.get("compress", str(driver == "local")).lower() == "true"
    return driver not in {"journald", "none"}


class Jumps:
    """Watches one followed stream for jumps that a skipped file would leave."""

    def __init__(self, rotate_bytes: int) -> None:
        self._rotate_bytes = rotate_bytes
        self._last_ns: int | None = None
        self._pace = _Pace()

    def begin(self) -> None:
        """A stream was opened anew."""
        self._last_ns = None

    def suspect(self, records: Records, now_ns: int) -> int | None:
        """The row before which a file may have been skipped, or None.

        now_ns  the Engine's time when these records were read
        """
        stamps = records.stamps
        if not stamps:
            return None
        before, self._last_ns = self._last_ns, stamps[-1]
        written = sum(map(len, records.messages)) + len(records) * _ENCODED_OVERHEAD
        if before is None or now_ns - before < _LIVE_NS:
            self._pace.add(written, stamps[0], stamps[-1])
            return None
        steps = [stamps[0] - before, *map(sub, islice(stamps, 1, None), stamps)]
        step = max(steps)
        row = steps.index(step)
        if stamps[row] < now_ns and step * self._pace.fastest >= self._rotate_bytes * _FILE_SHARE:
            return row
        self._pace.add(written, stamps[0], stamps[-1])
        return None

    def written_in(self, span_ns: int) -> float:
        """How many bytes the container may write in that time: no bound until it has shown how fast it is."""
        return span_ns * (self._pace.fastest or math.inf) if span_ns > 0 else 0.0


class _Pace:
    """How fast a container writes when it is fast: bytes per ns, of the faster of the last two windows."""

    def __init__(self) -> None:
        self._bytes = 0
        self._begin_ns: int | None = None
        self._windows = (0.0, 0.0)

    @property
    def fastest(self) -> float:
        return max(self._windows)

    def add(self, written: int, first_ns: int, last_ns: int) -> None:
        if self._begin_ns is None:
            self._begin_ns = first_ns
        self._bytes += written
        if self._bytes >= _WINDOW_BYTES:
            rate = self._bytes / max(last_ns - self._begin_ns, 1)
            self._windows = (self._windows[1], rate)
            self._bytes, self._begin_ns = 0, None
