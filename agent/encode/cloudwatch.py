"""Records as the log events of CloudWatch's PutLogEvents, cut to its limits.

Source: Amazon CloudWatch Logs API Reference, "PutLogEvents": at most 10,000 events and 1,048,576 bytes, that is
the messages in UTF-8 and 26 for each, in order of time, and no more than 24 hours from the first to the last. As
Docker's awslogs driver does, a line that is too long becomes several events of the same time; of a record as JSON
a part would be of no use to anybody. A record's own time counts only near the time at which it was read: each day
more is another call.
"""

from __future__ import annotations

import itertools
import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import orjson

from agent.batch import NS, Batch
from agent.encode.ndjson import ndjson
from agent.encode.times import near
from agent.encode.utf8 import cleaned, escaped

EVENT_OVERHEAD_BYTES = 26
MOST_BYTES = 1_048_576
MOST_EVENTS = 10_000
MOST_SPAN_MS = 24 * 60 * 60 * 1000
#: The service takes two hours ahead.
BEHIND_NS, AHEAD_NS = 12 * 3600 * NS, 3600 * NS
FORMATS = ("text", "json")
#: An event cannot be empty.
_BLANK = b" "
_PARTS = 4  # open, time, middle, message


@dataclass(frozen=True, slots=True)
class Put:
    """What one PutLogEvents carries. `events`: a JSON array; `rows`: of which record each event is."""

    events: bytes
    rows: Sequence[int]


@dataclass(slots=True)
class Events:
    """The events of one log stream, as columns.

    texts    the messages as JSON writes them between the quotes
    sizes    bytes, as the limits count them
    rows     of which record each is
    refused  the rows that no event can hold, and why
    """

    stamps: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def in_order(self) -> Events:
        """The same in order of time; those of one time stay in theirs."""
        if all(map(operator.le, self.stamps, itertools.islice(self.stamps, 1, None))):
            return self
        order = sorted(range(len(self.stamps)), key=self.stamps.__getitem__)
        return Events(
            [self.stamps[place] for place in order],
            [self.texts[place] for place in order],
            [self.sizes[place] for place in order],
            [self.rows[place] for place in order],
            self.refused,
        )

    def puts(self) -> Iterator[Put]:
        """The calls to make, oldest events first."""
        ends = list(itertools.accumulate(self.sizes))
        start, spent = 0, 0
        while start < len(ends):
            full = bisect_right(ends, spent + MOST_BYTES, lo=start)
            late = bisect_right(self.stamps, self.stamps[start] + MOST_SPAN_MS, lo=start)
            stop = min(start + MOST_EVENTS, full, late)
            yield Put(self._encode(start, stop), self.rows[start:stop])
            start, spent = stop, ends[stop - 1]

    def _encode(self, start: int, stop: int) -> bytes:
        """A JSON array of these events."""
        parts = [b'"},{"timestamp":', b"", b',"message":"', b""] * (stop - start)
        parts[0] = b'[{"timestamp":'
        parts[1::_PARTS] = orjson.dumps(self.stamps[start:stop])[1:-1].split(b",")
        parts[3::_PARTS] = self.texts[start:stop]
        parts.append(b'"}]')
        return b"".join(parts)


def events(parts: Sequence[tuple[int, Batch]], format: str, event_bytes: int) -> Events:
    """The events of these batches, in order of time.

    parts        each with the number of its first row
    format       of a message: `text`, as it came, or `json`, the whole record
    event_bytes  the most one event may have, its 26 bytes included
    """
    made = Events()
    for first, batch in parts:
        if format == "json":
            _append_records(made, first, batch, event_bytes - EVENT_OVERHEAD_BYTES)
        else:
            _append_lines(made, first, batch, event_bytes - EVENT_OVERHEAD_BYTES)
    return made.in_order()


def _append_lines(made: Events, first: int, batch: Batch, most: int) -> None:
    texts = escaped(batch)
    lines = cleaned(batch) if batch.undecodable else batch.messages
    rows: Sequence[int] = range(len(batch))
    if b"" in lines:
        lines, texts = [line or _BLANK for line in lines], [text or _BLANK for text in texts]
    if max(map(len, lines)) > most:
        split = [(row, piece) for row, line in enumerate(lines) for piece in _pieces(line, most)]
        rows, lines = [row for row, _ in split], [piece for _, piece in split]
        texts = [orjson.dumps(piece.decode())[1:-1] for piece in lines]
    _append_rows(made, first, batch, rows)
    _append_messages(made, texts, lines)


def _append_records(made: Events, first: int, batch: Batch, most: int) -> None:
    records: Sequence[bytes] = ndjson(batch)[:-1].split(b"\n")
    rows: Sequence[int] = range(len(batch))
    if max(map(len, records)) > most:
        long = {row: len(record) for row, record in enumerate(records) if len(record) > most}
        made.refused |= {
            first + row: f"an event may have {most} bytes, and the record has {size}"
            for row, size in long.items()
        }
        rows = [row for row in rows if row not in long]
        records = [records[row] for row in rows]
    _append_rows(made, first, batch, rows)
    _append_messages(
        made, escaped(replace(batch, messages=records, encoded={}, undecodable=frozenset())), records
    )


def _append_rows(made: Events, first: int, batch: Batch, rows: Sequence[int]) -> None:
    stamps = near(batch, behind_ns=BEHIND_NS, ahead_ns=AHEAD_NS)
    made.stamps += [stamps[row] // 1_000_000 for row in rows]
    made.rows += [first + row for row in rows]


def _append_messages(made: Events, texts: Sequence[bytes], messages: Sequence[bytes]) -> None:
    made.texts += texts
    made.sizes += [len(message) + EVENT_OVERHEAD_BYTES for message in messages]


def _pieces(text: bytes, most: int) -> Iterator[bytes]:
    """`text`, which is UTF-8, in pieces that are, too."""
    start = 0
    while start < len(text):
        stop = start + most
        while stop < len(text) and text[stop] & 0xC0 == 0x80:
            stop -= 1
        yield text[start:stop]
        start = stop
