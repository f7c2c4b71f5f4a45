"""Did the Engine's files rotate faster than it read them to us? Sans-I/O.

A follower that is two rotations behind is never given the files between (moby daemon/logger/loggerutils,
follow.go), and is not told. What shows is a jump in the records' times while we are behind, as long as the
writer needs to fill a good part of a file. Such a jump proves nothing; it says where to look: a read without
follow opens every file there still is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import islice
from operator import sub

from agent.batch import NS
from agent.source.lines import Records
from agent.source.meter import Meter

#: Fresher than this, nothing can have rotated away unread.
_LIVE_NS = NS // 50
_FILE_SHARE = 0.25
_LOCAL_FILE_BYTES, _LOCAL_FILES = 20 << 20, 5
#: docker/go-units FromHumanSize: `10m`, `10MB` and `10MiB` are ten million.
_SIZE = re.compile(r"(\d+(?:\.\d+)*) ?([kmgtp]?)i?b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def file_bytes(driver: str, log_options: Mapping[str, str]) -> int | None:
    """At how many bytes the Engine's log files of a container rotate; None: never, or not by size.

    Source: the drivers' documentation; drivers that cannot be read back have the `local` cache.
    """
    if driver in {"journald", "none"}:
        return None
    if driver in {"json-file", "local"} and log_options.get("max-size"):
        return _human_size(log_options["max-size"])
    return None if driver == "json-file" else _LOCAL_FILE_BYTES


def _human_size(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    try:
        return int(float(match[1]) * 1000 ** _POWERS[match[2].lower()]) if match else None
    except ValueError:  # 1.2.3, which the pattern of go-units lets through too
        return None


def files(driver: str, log_options: Mapping[str, str]) -> int:
    """How many files of a container's log there are, the one that is written to included."""
    if driver in {"json-file", "local"} and log_options.get("max-file", "").isdecimal():
        return int(log_options["max-file"])
    return 1 if driver == "json-file" else _LOCAL_FILES


def compressed(driver: str, log_options: Mapping[str, str]) -> bool:
    """Whether rotated files are compressed: by default with `local`, and with the cache of other drivers."""
    if driver in {"json-file", "local"}:
        return log_options.get("compress", str(driver == "local")).lower() == "true"
    return driver not in {"journald", "none"}


class Jumps:
    """Watches one followed stream for jumps that a skipped file would leave.

    meter  of all that is taken of the container
    """

    def __init__(self, rotate_bytes: int, meter: Meter) -> None:
        self._rotate_bytes = rotate_bytes
        self._last_ns: int | None = None
        self._meter = meter

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
        if before is None or now_ns - before < _LIVE_NS:
            return None
        steps = [stamps[0] - before, *map(sub, islice(stamps, 1, None), stamps)]
        step = max(steps)
        row = steps.index(step)
        return row if stamps[row] < now_ns and self.is_long(step) else None

    def is_long(self, span_ns: int) -> bool:
        """Whether the container, as fast as it is known to write, writes a good part of a file in that time."""
        return span_ns * self._meter.fastest >= self._rotate_bytes * _FILE_SHARE

    def written_in(self, span_ns: int) -> float:
        """How many bytes the container may write in that time: no bound until it has shown how fast it is."""
        return span_ns * (self._meter.fastest or math.inf) if span_ns > 0 else 0.0
