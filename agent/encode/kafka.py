"""The record as a Kafka record: record batches (magic 2), as one produce request carries one for each partition.

Source: Kafka's docs, "Message Format". What Kafka calls a batch is a `RecordSet` here: its records may come from
several of our batches. A record's key is the container's id, which keeps a container's records in one partition
and in order; its value is the record as JSON, the same as everywhere; the header `id` is the record's id, the header
`level` its level, where one is known.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aiokafka.record.util import calc_crc32c

from agent.batch import NS, Batch
from agent.encode.compress import compressed
from agent.encode.ndjson import lines
from agent.encode.protobuf import varint
from agent.encode.times import near
from agent.level import Level

#: What `compress` may be, and its number in a record set's attributes.
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
#: Offset, length, leader epoch, magic, checksum; and what the checksum covers beside the records: attributes,
#: last offset, first and last time, producer and its epoch, sequence, count.
_HEAD = struct.Struct(">qiibI")
_COVERED = struct.Struct(">hiqqqhii")
OVERHEAD_BYTES = _HEAD.size + _COVERED.size
#: Of a record: its length, attributes, time and offset.
_RECORD_OVERHEAD_BYTES = 21
#: One header, the name of which has two bytes, or two: numbers are zigzag-encoded.
_HEADER, _HEADERS = b"\x02\x04id", b"\x04\x04id"
_NS_PER_MS = 1_000_000
#: Of a record's own time from when it was read; message.timestamp.after.max.ms is an hour.
BEHIND_NS, AHEAD_NS = 24 * 3600 * NS, 300 * NS


@dataclass(frozen=True, slots=True)
class Column:
    """The records of some batches that go to one partition, and which rows of the request they are."""

    rows: Sequence[int]
    ids: Sequence[bytes]
    stamps: Sequence[int]
    bodies: Sequence[bytes]

    @classmethod
    def of(cls, batches: Sequence[tuple[int, Batch]]) -> Column:
        """The records of these batches, each with the row that its first record is."""
        return cls(
            [row for first, batch in batches for row in range(first, first + len(batch))],
            [name for _, batch in batches for name in batch.ids()],
            [stamp // _NS_PER_MS for _, batch in batches for stamp in _times(batch)],
            [body for _, batch in batches for body in _bodies(batch)],
        )


@dataclass(frozen=True, slots=True)
class RecordSet:
    """Some consecutive records of a column; `data` is compressed by `method`."""

    rows: Sequence[int]
    first_id: bytes
    last_id: bytes
    times: tuple[int, int]
    data: bytes
    method: str = "none"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """Bytes, as brokers count them."""
        return OVERHEAD_BYTES + len(self.data)

    async def compressed(self, method: str) -> RecordSet:
        """The same, compressed by one of `CODECS`."""
        return replace(self, method=method, data=await compressed(self.data, method))

    def framed(self, producer: int, epoch: int, sequence: int) -> bytes:
        """The bytes of the set, sent by this producer; all -1: by one that is nobody."""
        count = len(self)
        covered = (
            _COVERED.pack(CODECS[self.method], count - 1, *self.times, producer, epoch, sequence, count)
            + self.data
        )
        head = _HEAD.pack(0, self.size - 12, -1, 2, calc_crc32c(covered))
        return head + covered


def record_sets(column: Column, most_bytes: int) -> Iterator[RecordSet]:
    """The column in sets of at most so many bytes, not yet compressed; a record beyond that is alone in one."""
    start = 0
    while start < len(column.rows):
        room, stop = most_bytes - OVERHEAD_BYTES, start
        for body in column.bodies[start:]:
            room -= len(body) + _RECORD_OVERHEAD_BYTES
            if room < 0 and stop > start:
                break
            stop += 1
        yield _record_set(column, start, stop)
        start = stop


def _record_set(column: Column, start: int, stop: int) -> RecordSet:
    stamps, bodies = column.stamps[start:stop], column.bodies[start:stop]
    first = stamps[0]
    parts = [b""] * (2 * len(bodies))
    parts[0::2] = [
        _zigzag(1 + len(time) + len(offset) + len(body)) + b"\x00" + time + offset
        for body, time, offset in zip(
            bodies,
            [_zigzag(stamp - first) for stamp in stamps],
            map(_zigzag, range(len(bodies))),
            strict=True,
        )
    ]
    parts[1::2] = bodies
    return RecordSet(
        column.rows[start:stop],
        column.ids[start],
        column.ids[stop - 1],
        (first, max(stamps)),
        b"".join(parts),
    )


def _times(batch: Batch) -> Sequence[int]:
    """Brokers refuse a set, or keep it for ever, for one time too far ahead."""
    return near(batch, behind_ns=BEHIND_NS, ahead_ns=AHEAD_NS)


def _bodies(batch: Batch) -> list[bytes]:
    """Each record from its key on: what does not depend on its place in a set."""
    key = batch.container.id.encode()
    opening = _zigzag(len(key)) + key
    records, ids = lines(batch), batch.ids()
    parts = [opening, b"", b"", _HEADER, b"", b""]
    bodies = []
    for record, name in zip(records, ids, strict=True):
        parts[1], parts[2], parts[4], parts[5] = _zigzag(len(record)), record, _zigzag(len(name)), name
        bodies.append(b"".join(parts))
    if batch.levels:
        ends = [len(_zigzag(len(name))) + len(name) for name in ids]
        bodies = [
            b"%b%b%b%b" % (body[: -end - len(_HEADER)], _HEADERS, body[-end:], _LEVELS[level])
            if level
            else body
            for body, end, level in zip(bodies, ends, batch.levels, strict=True)
        ]
    return bodies


@functools.lru_cache(maxsize=1 << 15)
def _zigzag(value: int) -> bytes:
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


_LEVELS = [
    b"",
    *(b"\x0alevel%b%b" % (_zigzag(len(level.text)), level.text.encode()) for level in Level),
]
