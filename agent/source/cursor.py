"""Where we are in a container's output: one mark in arrival order, found again by equality. Sans-I/O.

The Engine answers `since` with records in the order of its file. Times go back in it (two streams, a clock set
back), so a time finds a place to look from, and equality finds the place: the mark is the last record taken,
by stream, time, its place among the lines of that time, and a hash of its text. Whatever stands behind the
mark is new, whatever its time; nothing is ever left out for its time alone. Source: moby daemon/logs.go and
daemon/logger/loggerutils (Engine 24 and later filter by `since` only up to the first record kept).

`Cursor` is saved with every batch. `Place` keeps it while records pass, and numbers equal times. `Search`
finds the mark in what comes after a stream was opened anew. `Place` and `Search` of one container share the
numbering of equal times: feed a record to the one, and what it gives to the other, before the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from operator import eq
from typing import Any

import orjson

from agent.batch import NS, Batch, Container, Stream
from agent.source.lines import Records

_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}
#: Two streams' records stand in the file at most this much out of order; a mark not seen by then may be gone.
DISORDER_NS = 2 * NS
HELD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Mark:
    """One record, so that it is known again: number of its stream, ns, place among equal times, hash."""

    stream: int
    stamp: int
    place: int
    digest: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The newest records that were taken live, so that their place in the log is known again.

    last    keys of stdout's and of stderr's last, oldest first: see `agent.source.heard`
    first   likewise of the first
    stamps  when the last was received of each, ns
    """

    last: tuple[tuple[int, ...], tuple[int, ...]]
    first: tuple[tuple[int, ...], tuple[int, ...]]
    stamps: tuple[int, int]

    @property
    def newest_ns(self) -> int:
        """When the last was received."""
        return max(self.stamps)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Heard:
        """The inverse of what orjson makes of it."""
        last, first = (
            (tuple(map(int, values[name][0])), tuple(map(int, values[name][1]))) for name in ("last", "first")
        )
        return cls(last, first, (int(values["stamps"][0]), int(values["stamps"][1])))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Our place in a container's output.

    since   where to begin to read while there is no mark, ns; 0: from the first record
    mark    everything up to it, in order of arrival, was taken
    beyond  how many records of stdout and of stderr behind the mark were taken too: while a line of one stream
            has not ended, the mark waits before it; and what is taken live is counted
    ended   the container had ended, and this was all it had written
    heard   the last records were taken live: these
    """

    since: int = 0
    mark: Mark | None = None
    beyond: tuple[int, int] = (0, 0)
    ended: bool = False
    heard: Heard | None = None

    def to_bytes(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Cursor:
        """The inverse of `to_bytes`. Raises ValueError."""
        try:
            values = orjson.loads(data)
            mark = Mark(**values["mark"]) if values["mark"] else None
            beyond = int(values["beyond"][0]), int(values["beyond"][1])
            heard = Heard.of(values["heard"]) if values.get("heard") else None
            return cls(int(values["since"]), mark, beyond, bool(values.get("ended")), heard)
        except (TypeError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"no cursor: {data[:80]!r}") from error

    @property
    def newest_ns(self) -> int:
        """The time to look from."""
        return self.mark.stamp if self.mark else self.since


def digest(message: bytes) -> str:
    """16 hex digits of a record's text."""
    return hashlib.blake2b(message, digest_size=8).hexdigest()


@dataclass(slots=True)
class _Last:
    """The last time of one stream, and how many lines of it have come."""

    stamp: int = -1
    place: int = -1


class Places:
    """Numbers the lines of equal time, stream by stream."""

    def __init__(self) -> None:
        self._last = {1: _Last(), 2: _Last()}

    def number(self, stream: int, stamps: list[int]) -> list[int] | None:
        """The places of some consecutive lines of one stream; None: all 0."""
        last = self._last[stream]
        if stamps[0] != last.stamp and not any(map(eq, stamps, islice(stamps, 1, None))):
            last.stamp, last.place = stamps[-1], 0
            return None
        places = [self.next(stream, stamp) for stamp in stamps]
        return places if any(places) else None

    def next(self, stream: int, stamp: int) -> int:
        """The place of one more line."""
        last = self._last[stream]
        last.place = last.place + 1 if stamp == last.stamp else 0
        last.stamp = stamp
        return last.place

    def newest(self, stream: int) -> int:
        """The place of the last line of a stream."""
        return self._last[stream].place


class Place:
    """Keeps the cursor while new records pass, and makes batches of them."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._places = Places()

    def adopt(self, places: Places) -> None:
        """Go on numbering equal times where a search has got to."""
        self._places = places

    def take(
        self,
        records: Records,
        container: Container,
        *,
        open_streams: frozenset[int] = frozenset(),
        owed: tuple[int, int] = (0, 0),
    ) -> list[Batch]:
        """One batch for each stream that these new records are of; moves the cursor.

        open_streams  the streams a line of which has begun and not ended: the mark waits
        owed          records still to come, of stdout and of stderr, that were taken before (`Search.owed`)
        """
        if not records.messages:
            return []
        batches = [self._batch(rows, container) for rows in by_stream(records)]
        if open_streams:
            out = records.streams.count(1)
            beyond = (self.cursor.beyond[0] + out, self.cursor.beyond[1] + len(records) - out)
            self.cursor = replace(self.cursor, beyond=beyond, ended=False, heard=None)
        else:
            stream = records.streams[-1]
            place = self._places.newest(stream)
            mark = Mark(stream, records.stamps[-1], place, digest(records.messages[-1]))
            self.cursor = Cursor(self.cursor.since, mark, owed)
        return batches

    def take_live(self, records: Records, container: Container, heard: Heard) -> list[Batch]:
        """As `take`, of records that were received live, no two at one time; the cursor counts them."""
        out = records.streams.count(1)
        beyond = (self.cursor.beyond[0] + out, self.cursor.beyond[1] + len(records) - out)
        self.cursor = replace(self.cursor, beyond=beyond, ended=False, heard=heard)
        return [_batch(rows, container, None) for rows in by_stream(records)]

    def _batch(self, records: Records, container: Container) -> Batch:
        return _batch(records, container, self._places.number(records.streams[0], records.stamps))


def _batch(records: Records, container: Container, ordinals: list[int] | None) -> Batch:
    return Batch(
        container=container,
        stream=_STREAMS[records.streams[0]],
        timestamps=records.stamps,
        messages=records.messages,
        ordinals=ordinals,
        truncated=frozenset(records.truncated),
        times=records.times,
    )


def by_stream(records: Records) -> list[Records]:
    """The records of each stream there is, in order."""
    out = records.streams.count(1)
    if out in {0, len(records)}:
        return [records]
    first = records.streams[0]
    return [
        records.take([row for row, stream in enumerate(records.streams) if stream == wanted])
        for wanted in (first, 3 - first)
    ]


class Search:
    """Finds the cursor's mark in a stream opened at its time (or before it), and passes what is behind.

    Records before the mark were taken already. They are held while the mark may still come, for it may be gone
    from the file: then they are all new. `doubtful` says that it should have come by now: look whether the file
    still has it (a read that ends by itself), then call `settle`.

    partial  the stream was opened at a number of records from the end, so it may begin between lines of equal
             time, where their places are not known. If the mark is of that time, it is `unsure` and never
             `found`: open the stream by time.

    `first_ns` is the time of the first record that is younger than the mark, `began_ns` that of the first of its
    stream.
    """

    def __init__(self, cursor: Cursor, place: Place, *, partial: bool = False) -> None:
        self.found = cursor.mark is None
        self.partial = partial
        self.unsure = False
        self.seen = 0
        self.first_ns: int | None = None
        self.began_ns: int | None = None
        self._after_ns = cursor.mark.stamp if cursor.mark else -1
        self.doubtful = False
        self._begun = False
        self._cursor = cursor
        self._owed = list(cursor.beyond)
        self._place = place
        self._places = Places()
        self._hold = True
        self._held = Records()
        self._held_bytes = 0
        if self.found:  # from the beginning, so that is where numbering begins
            place.adopt(self._places)

    @property
    def owed(self) -> tuple[int, int]:
        """How many records of stdout and of stderr are still to come that were taken before."""
        return self._owed[0], self._owed[1]

    def feed(self, records: Records) -> Records:
        """Those of these records that are new."""
        self.seen += len(records)
        if self.first_ns is None:
            self.first_ns = next((stamp for stamp in records.stamps if stamp > self._after_ns), None)
        if self.found:
            return self._behind(records) if any(self._owed) else records
        mark = self._cursor.mark
        if self.began_ns is None and mark is not None and mark.stream in records.streams:
            self.began_ns = records.stamps[records.streams.index(mark.stream)]
        if self.partial and mark is not None and not self._begun:
            self._begin(mark, records)
        if self.unsure:
            return Records()
        if mark is not None and mark.stamp in records.stamps:
            row = self._row_of(mark, records)
            if row is not None:
                self.found = True
                self._held = Records()
                self._place.adopt(self._places)
                return self._behind(records.take(slice(row + 1, None)))
        elif records.messages:
            for part in by_stream(records):
                self._places.number(part.streams[0], part.stamps)
        if self._hold and mark is not None and records.messages:
            self._held.extend(records)
            self._held_bytes += sum(map(len, records.messages))
            late = max(records.stamps) > mark.stamp + DISORDER_NS
            self.doubtful = late or self._held_bytes > HELD_BYTES
        return Records()

    def _begin(self, mark: Mark, records: Records) -> None:
        """Look at the first record of the mark's stream, in a stream that may begin anywhere."""
        if mark.stream in records.streams:
            self._begun = True
            self.unsure = records.stamps[records.streams.index(mark.stream)] == mark.stamp

    def _row_of(self, mark: Mark, records: Records) -> int | None:
        for row, (stream, stamp) in enumerate(zip(records.streams, records.stamps, strict=True)):
            place = self._places.next(stream, stamp)
            if (stream, stamp, place) == (mark.stream, mark.stamp, mark.place) and (
                digest(records.messages[row]) == mark.digest
            ):
                return row
        return None

    def settle(self, *, present: bool) -> Records:
        """Whether the file still has the mark. If not, what was held is new (it is returned), and all that comes."""
        held, self._held, self._hold, self.doubtful = self._held, Records(), False, False
        if present:
            return Records()
        self.found = True
        self._owed = [0, 0]
        return held

    def _behind(self, records: Records) -> Records:
        """Leave out the records behind the mark that were taken while it waited."""
        if not any(self._owed) or not records.messages:
            return records
        fresh: list[int] = []
        for row, (stream, stamp) in enumerate(zip(records.streams, records.stamps, strict=True)):
            if self._owed[stream - 1]:
                self._owed[stream - 1] -= 1
                self._places.next(stream, stamp)
            else:
                fresh.append(row)
        return records.take(fresh)
