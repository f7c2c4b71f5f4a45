"""Where in the log stands what was taken live? Sans-I/O.

What is taken live is counted from the cursor's mark on, so its place in the log follows from the log alone, as long
as the mark is there and the log has every line. `Recent` moves the mark on now and then: it knows the last lines
taken live, and finds them among the log's newest. `Recount` is for a new beginning, after `kill -9`: it looks for
the last lines (the cursor keeps a key of each) behind the mark, near the number that was counted, and if the mark
was rotated away, anywhere.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from agent.batch import NS
from agent.source.cursor import Cursor, Heard, Mark, Places, digest
from agent.source.frames import STDERR, STDOUT
from agent.source.lines import Records
from agent.source.seam import LAG_NS, fits, likeness

_STREAMS = (STDOUT, STDERR)
MARK_EVERY_S: Final = 30.0
_MANY, _MANY_EVERY_S = 10_000, 1.0
#: How many lines of each stream the cursor keeps a key of, and `Recent` the text.
_KEYS = 12
_FIRST = 4
_LINES = 200
#: So many lines in a row are hardly found by chance; fewer are if the log has them from about when they came.
_SOME, _SOON_NS = 4, 3 * NS


def key(line: bytes) -> int:
    """A small hash of what the log and the live stream have in common of a line."""
    return zlib.crc32(likeness(line))


class MarkTimer:
    """When the mark is to be moved on. Times are monotonic, in seconds."""

    def __init__(self, now: float) -> None:
        self._since = now

    def restart(self, now: float) -> None:
        """It was moved, or that was tried."""
        self._since = now

    def is_due(self, count: int, now: float) -> bool:
        """With so many records behind it: after a while, and sooner when they are many."""
        age = now - self._since
        return count > 0 and (age >= MARK_EVERY_S or (count >= _MANY and age >= _MANY_EVERY_S))


class Recent:
    """The last lines that were taken live. `all`: every line from now on."""

    def __init__(self) -> None:
        self.all = False
        self._lines: dict[int, deque[tuple[int, Sequence[bytes]]]] = {stream: deque() for stream in _STREAMS}
        self._count = dict.fromkeys(_STREAMS, 0)
        self._keys: dict[int, deque[int]] = {stream: deque(maxlen=_KEYS) for stream in _STREAMS}
        self._newest_ns = dict.fromkeys(_STREAMS, 0)
        self._first: dict[int, list[int]] = {stream: [] for stream in _STREAMS}

    def add(self, records: Records) -> Heard:
        """These were taken; what the cursor is to know of it."""
        for stream in _STREAMS:
            rows, newest_ns = records.messages, records.stamps[-1]
            if records.streams.count(stream) != len(records):
                at = [row for row, of in enumerate(records.streams) if of == stream]
                rows = [rows[row] for row in at]
                newest_ns = records.stamps[at[-1]] if at else 0
            if rows:
                lines = self._lines[stream]
                lines.append((newest_ns, rows))
                self._count[stream] += len(rows)
                while not self.all and self._count[stream] - len(lines[0][1]) > _LINES:
                    self._count[stream] -= len(lines.popleft()[1])
                self._keys[stream] += map(key, rows[-_KEYS:])
                self._newest_ns[stream] = newest_ns
                begin = self._first[stream]
                begin += map(key, rows[: _FIRST - len(begin)])
        last = tuple(self._keys[STDOUT]), tuple(self._keys[STDERR])
        first = tuple(self._first[STDOUT]), tuple(self._first[STDERR])
        return Heard(last, first, (self._newest_ns[STDOUT], self._newest_ns[STDERR]))

    def anchor(self, tail: Records, cursor: Cursor, began_ns: int) -> Cursor | None:
        """The cursor with a mark further on, at one of the log's newest records; None: none is beyond doubt.

        tail      the log's newest records, in order; all of them were received
        began_ns  when the read of them began
        """
        places = _numbered(tail)
        for rows in (len(tail), len(tail) * 3 // 4, len(tail) // 2):
            last = rows - 1
            if rows < 2 or tail.stamps[last] == _first_stamp(tail, tail.streams[last]):
                continue  # its place among lines of equal time is not known
            if cursor.mark and cursor.mark.stamp in tail.stamps[rows:]:
                continue  # it stands further on already
            beyond = [self._behind(stream, tail, rows, cursor, began_ns) for stream in _STREAMS]
            if beyond[0] is None or beyond[1] is None:
                continue
            mark = Mark(tail.streams[last], tail.stamps[last], places[last], digest(tail.messages[last]))
            return replace(cursor, mark=mark, beyond=(beyond[0], beyond[1]))
        return None

    def _behind(self, stream: int, tail: Records, rows: int, cursor: Cursor, began_ns: int) -> int | None:
        """How many lines of a stream that were taken stand behind the first `rows` of the tail."""
        taken = cursor.beyond[stream - 1]
        here = [row for row, of in enumerate(tail.streams) if of == stream]
        seen = [likeness(tail.messages[row]) for row in here if row < rows]
        if not seen:
            silent = not taken or self._newest_ns[stream] < tail.stamps[0] - _SOON_NS
            return 0 if silent else None
        live = [likeness(line) for _, lines in self._lines[stream] for line in lines]
        fresh = sum(len(lines) for at, lines in self._lines[stream] if at > began_ns - LAG_NS)
        least = len(live) - fresh - (len(here) - len(seen))  # so many of them the log must have up to there
        found = list(islice(fits(seen, live, range(max(least, 1), len(live) + 1)), 2))
        behind = len(live) - found[0] if least > 0 and len(found) == 1 else -1
        return behind if 0 <= behind <= taken else None


def _numbered(records: Records) -> list[int]:
    """The place of each record among those of its stream and time."""
    places = Places()
    return [places.next(*row) for row in zip(records.streams, records.stamps, strict=True)]


def _alike(last: Sequence[int], keys: Sequence[int]) -> int:
    """How many of both are the same at their ends."""
    count = 0
    for one, other in zip(reversed(last), reversed(keys), strict=False):
        if one != other:
            break
        count += 1
    return count


def _first_stamp(records: Records, stream: int) -> int:
    return records.stamps[records.streams.index(stream)]


@dataclass(slots=True)
class _Rows:
    """What is kept of the records of the log: a column each."""

    streams: bytearray = field(default_factory=bytearray)
    stamps: array[int] = field(default_factory=lambda: array("q"))
    places: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("L"))
    digests: bytearray = field(default_factory=bytearray)


class Recount:
    """`feed` the log from the cursor's mark on (or from its oldest record), then ask for the `cursor`.

    lost  whether nothing is left in the log of what was taken, so that there may be a gap before its first record
    """

    def __init__(self, cursor: Cursor) -> None:
        self.lost = False
        self._old = cursor
        self._heard = cursor.heard or Heard(((), ()), ((), ()), (0, 0))
        self._rows = _Rows()
        self._places = Places()
        self._mark_row: int | None = None

    def feed(self, records: Records) -> None:
        rows = self._rows
        for stream, stamp, message in zip(records.streams, records.stamps, records.messages, strict=True):
            place = self._places.next(stream, stamp)
            name = digest(message)
            rows.streams.append(stream)
            rows.stamps.append(stamp)
            rows.places.append(place)
            rows.digests += bytes.fromhex(name)
            rows.keys.append(key(message))
            mark = self._old.mark
            if mark and mark.stamp == stamp and Mark(stream, stamp, place, name) == mark:
                self._mark_row = len(rows.streams) - 1

    @property
    def settled(self) -> bool:
        """Whether the place is found just where it was counted, so that no more of the log has to be read."""
        start = -1 if self._mark_row is None else self._mark_row
        if len(self._rows.streams) - start - 1 < sum(self._old.beyond) or not self._is_there():
            return False
        for stream, counted, last in zip(_STREAMS, self._old.beyond, self._heard.last, strict=True):
            rows = self._rows_of(stream)
            end = bisect_right(rows, start) + counted
            if counted and (
                end > len(rows) or tuple(self._keys(rows[max(end - len(last), 0) : end])) != last
            ):
                return False
        return True

    @property
    def first_ns(self) -> int | None:
        """The time of the first record."""
        return self._rows.stamps[0] if self._rows.stamps else None

    @property
    def cursor(self) -> Cursor:
        """A cursor without `heard`: its place is said in the log's own terms."""
        old = self._old
        if not self._rows.streams:
            return old
        start = -1 if self._mark_row is None else self._mark_row
        there = self._is_there()
        ends = {
            stream: self._end(stream, start, old.beyond[stream - 1] if there else None) for stream in _STREAMS
        }
        if not there and all(end is None for end in ends.values()):
            self.lost = True
            return Cursor(since=0)
        return self._at({stream: start if end is None else end for stream, end in ends.items()}, start)

    def _is_there(self) -> bool:
        """Whether the log has where it is counted from: the mark, or its beginning."""
        return self._mark_row is not None or (self._old.mark is None and self._has_its_beginning())

    def _has_its_beginning(self) -> bool:
        """Whether the log begins with what was taken first."""
        return all(
            tuple(self._keys(self._rows_of(stream)[: len(first)])) == first
            for stream, first in zip(_STREAMS, self._heard.first, strict=True)
        )

    def _rows_of(self, stream: int) -> list[int]:
        return [row for row, of in enumerate(self._rows.streams) if of == stream]

    def _keys(self, rows: list[int]) -> list[int]:
        return [self._rows.keys[row] for row in rows]

    def _end(self, stream: int, start: int, counted: int | None) -> int | None:
        """The row of the last record of a stream that was taken; None: none of those behind `start` was.

        counted  how many were taken behind `start`; None: it is not known
        """
        rows, last = self._rows_of(stream), self._heard.last[stream - 1]
        begin = bisect_right(rows, start)
        if counted == 0 or begin == len(rows):
            return None
        keys = self._keys(rows)
        alike = {
            end: _alike(last, keys[max(end - len(last), 0) : end])
            for end, newest in enumerate(keys, 1)
            if end > begin and newest in last[-1:]
        }
        whole = [end for end, count in alike.items() if count == min(end, len(last))]
        if counted is None:
            at_ns = self._heard.stamps[stream - 1]
            ways = [
                (abs(self._rows.stamps[rows[end - 1]] - at_ns), end)
                for end in whole or alike
                if alike[end] >= _SOME or abs(self._rows.stamps[rows[end - 1]] - at_ns) < _SOON_NS
            ]
            return rows[min(ways)[1] - 1] if ways else None
        likely = begin + counted
        if likely not in whole:  # the log has not every line
            best = max(alike, key=lambda end: (alike[end], -abs(end - likely)), default=0)
            likely = best if best and alike[best] >= min(_SOME, len(last)) else min(likely, len(rows))
        return rows[likely - 1]

    def _at(self, ends: dict[int, int], start: int) -> Cursor:
        """The cursor behind these rows; all up to `start` were taken anyway."""
        rows = self._rows
        new = next(
            (at for at in range(start + 1, len(rows.streams)) if at > ends[rows.streams[at]]),
            len(rows.streams),
        )
        while new - 1 > start and rows.stamps[new - 1] < self._old.newest_ns:
            new -= 1  # not all lines of that time were read: its place among them is not known
        behind = [
            sum(1 for at in range(new, end + 1) if rows.streams[at] == stream) for stream, end in ends.items()
        ]
        last = new - 1
        if last < 0:
            return Cursor(beyond=(behind[0], behind[1]))
        mark = self._old.mark
        if last != self._mark_row:
            name = rows.digests[last * 8 : last * 8 + 8].hex()
            mark = Mark(rows.streams[last], rows.stamps[last], rows.places[last], name)
        return Cursor(self._old.since, mark, (behind[0], behind[1]))
