"""How fast a container writes, as its log files count it, and how many records a gap in them had. Sans-I/O.

The Engine rotates a file when it has `max-size` bytes. So where the log begins anew behind a gap, a file begins, and
what is missing is the rest of the mark's file and whole files behind it. How many files, the time of the gap and the
pace before and behind it tell; where in its file the mark stands is counted along. Where that is not known, time and
pace alone have to do.
Source: moby daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go, daemon/logger/local/local.go; measured besides.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from agent.source.lines import Records

#: What a line takes besides: {"log":"…\n","stream":"stdout","time":"…"}\n with json-file, a protobuf with local.
_JSON_BYTES, _LOCAL_BYTES = 71, 29
#: What JSON writes as two bytes, and as six.
_TWO, _SIX = b'"\\\r', bytes(set(range(0x20)) - set(b"\r\n")) + b"<>&"
#: Of many records at once, every so-manieth is looked at.
_SAMPLED, _SAMPLE_EVERY = 64, 16
_WINDOW_BYTES = 256 << 10
_WINDOWS, _LATELY = 64, 16
#: A window that took so many times the usual had a pause in it.
_PAUSE = 20.0
#: Not steady: the paces before and behind differ by so much, or the gap is so many times what was seen around it.
_UNLIKE, _TOO_LONG = 4.0, 20.0
_FEW_RECORDS = 100
_SAMPLES = 256


def encoded_as(driver: str) -> Callable[[Records], float]:
    """How many bytes records take in the files of a driver; of one that is not known, about."""
    return _json_bytes if driver == "json-file" else _local_bytes


def _json_bytes(records: Records) -> float:
    some = records.messages[::_SAMPLE_EVERY] if len(records) > _SAMPLED else records.messages
    text = b"".join(some)
    twos, sixes = (len(text) - len(text.translate(None, which)) for which in (_TWO, _SIX))
    escapes = (twos + 5 * sixes) * len(records) / max(len(some), 1)
    return sum(map(len, records.messages)) + len(records) * _JSON_BYTES + escapes


def _local_bytes(records: Records) -> float:
    return float(sum(map(len, records.messages)) + len(records) * _LOCAL_BYTES)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some records in a row: how many, their bytes in the file, and the time they took, ns."""

    records: int
    size: float
    span_ns: int

    @property
    def pace(self) -> float:
        """Bytes a ns."""
        return self.size / max(self.span_ns, 1)


class Sample(NamedTuple):
    """So many records stand in the log between these times."""

    first_ns: int
    last_ns: int
    records: int


class Meter:
    """Is told of all records that are taken from a log, in its order."""

    def __init__(self, driver: str, file_bytes: int) -> None:
        self._encoded = encoded_as(driver)
        self._file_bytes = file_bytes
        self._windows: deque[Stretch] = deque(maxlen=_WINDOWS)
        self._records = 0
        self._size = 0.0
        self._begin_ns: int | None = None
        self._in_file: float | None = None
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)

    @property
    def fastest(self) -> float:
        """Bytes a ns, of the faster of the last two windows; 0: not known yet."""
        return max((window.pace for window in list(self._windows)[-2:]), default=0.0)

    @property
    def pace(self) -> float:
        """Bytes a ns, lately; 0: not known yet."""
        lately = [window.pace for window in islice(reversed(self._windows), _LATELY)]
        return statistics.median(lately) if lately else 0.0

    def pace_at(self, at_ns: int) -> float:
        """`pace`, if it was still written like that when a record of that time came; else 0."""
        if not self._windows or self._begin_ns is None:
            return 0.0
        usual_ns = statistics.median(window.span_ns for window in self._windows)
        return self.pace if at_ns - self._begin_ns <= _PAUSE * usual_ns else 0.0

    @property
    def each(self) -> float:
        """Bytes a record, lately; 0: not known yet."""
        lately = list(islice(reversed(self._windows), _LATELY))
        return sum(window.size for window in lately) / max(sum(window.records for window in lately), 1)

    def saw(self, sample: Sample) -> None:
        """This was found out of what was not taken yet."""
        self._samples.append(sample)

    def begin_file(self) -> None:
        """What comes next is the first record of a file."""
        self._in_file = 0.0

    def forget(self) -> None:
        """Records came that were not taken from the log."""
        self._windows.clear()
        self._records, self._size, self._begin_ns, self._in_file = 0, 0.0, None, None

    def add(self, records: Records) -> None:
        """These were taken."""
        if not records.messages:
            return
        size = self._encoded(records)
        if self._begin_ns is None:
            self._begin_ns = records.stamps[0]
        self._records += len(records)
        self._size += size
        if self._in_file is not None:
            self._in_file = (self._in_file + size) % self._whole(size / len(records))
        if self._size >= _WINDOW_BYTES:
            span_ns = max(records.stamps[-1] - self._begin_ns, 0)
            self._windows.append(Stretch(self._records, self._size, span_ns))
            self._records, self._size, self._begin_ns = 0, 0.0, records.stamps[-1]

    def between(self, first_ns: int, last_ns: int, behind: Records, *, at_file: bool) -> int | None:
        """About how many records a gap between these times had; None: there is no ground to say.

        behind   what follows, as far as it is known
        at_file  it begins a file
        """
        before, after = self._steady(), self._stretch(behind)
        around = [part for part in (before, after) if part is not None]
        if last_ns <= first_ns or not around:
            return None
        seen, unseen_ns = self._sampled(first_ns, last_ns)
        if unseen_ns > _TOO_LONG * sum(part.span_ns for part in around):
            return None
        if unseen_ns and before and after and not 1 / _UNLIKE < after.pace / before.pace < _UNLIKE:
            return None
        each = sum(part.size for part in around) / sum(part.records for part in around)
        missing = seen * each + unseen_ns * statistics.fmean(part.pace for part in around)
        if at_file and self._in_file is not None:
            whole = self._whole(each)
            missing = max(round((self._in_file + missing) / whole), 1) * whole - self._in_file
        return max(round(missing / each), 1)

    def _sampled(self, first_ns: int, last_ns: int) -> tuple[float, int]:
        """How many records samples show between these times, and for how long there are none."""
        records, unseen_ns, at_ns = 0.0, 0, first_ns
        for sample in sorted(self._samples):
            begin_ns, end_ns = max(sample.first_ns, at_ns), min(sample.last_ns, last_ns)
            if end_ns > begin_ns:
                unseen_ns += begin_ns - at_ns
                records += sample.records * (end_ns - begin_ns) / (sample.last_ns - sample.first_ns)
                at_ns = end_ns
        return records, unseen_ns + max(last_ns - at_ns, 0)

    def _whole(self, each: float) -> float:
        """How large a file is when it rotates: before the next record is written, it is seen to be full."""
        return self._file_bytes + each / 2

    def _steady(self) -> Stretch | None:
        """The last windows, those with a pause left out."""
        if not self._windows:
            return None
        usual = statistics.median(window.span_ns for window in self._windows)
        steady = [window for window in self._windows if window.span_ns <= _PAUSE * usual]
        return Stretch(
            sum(window.records for window in steady),
            sum(window.size for window in steady),
            sum(window.span_ns for window in steady),
        )

    def _stretch(self, records: Records) -> Stretch | None:
        if len(records) < _FEW_RECORDS:
            return None
        span_ns = max(records.stamps[-1] - records.stamps[0], 0)
        return Stretch(len(records), self._encoded(records), span_ns)
