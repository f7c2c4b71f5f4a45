"""Batch: the columns that move through the house. Container: the constants of their records.

A batch is some consecutive records of one container and stream. What differs from record to record is a
column; what does not is said once, in the `Container`, and encoded once per stream and format.
"""

from __future__ import annotations

import enum
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

#: What a record costs in memory beside its message: two objects and their places in three columns.
RECORD_OVERHEAD_BYTES = 160
NS = 1_000_000_000
T = TypeVar("T")


class Stream(enum.Enum):
    """The two outputs of a container; the value is the name in a record."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """Who wrote: identity and constant metadata of one container, as the sinks send them along.

    swarm       of Swarm's task: `service_id`, `task`, `task_id`, `node_id`
    kubernetes  of the pod: `namespace`, `pod`, `pod_uid`, `container`
    sinks       names of those that get its records; None: all
    constants   where encoders keep what they made of it, by format

    A change (a rename) makes a new one.
    """

    id: str
    name: str
    image: str
    tag: str
    host: str
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    project: str | None = None
    service: str | None = None
    swarm: Mapping[str, str] = field(default_factory=dict)
    kubernetes: Mapping[str, str] = field(default_factory=dict)
    sinks: Sequence[str] | None = None
    constants: dict[Any, bytes] = field(default_factory=dict, init=False, repr=False)

    def to_json(self) -> bytes:
        """Every field but `constants`, keys sorted: equal for equal metadata. No empty `swarm` or `kubernetes`."""
        orchestrated = {"swarm": dict(self.swarm), "kubernetes": dict(self.kubernetes)}
        return orjson.dumps(
            {
                **{key: value for key, value in orchestrated.items() if value},
                "id": self.id,
                "name": self.name,
                "image": self.image,
                "tag": self.tag,
                "host": self.host,
                "image_id": self.image_id,
                "labels": dict(self.labels),
                "env": dict(self.env),
                "project": self.project,
                "service": self.service,
                "sinks": self.sinks,
            },
            option=orjson.OPT_SORT_KEYS,
        )

    @classmethod
    def from_json(cls, data: bytes) -> Container:
        """The inverse of `to_json`."""
        return cls(**orjson.loads(data))

    def fingerprint(self) -> str:
        """32 hex digits, equal for equal metadata."""
        return hashlib.blake2b(self.to_json(), digest_size=16).hexdigest()


@dataclass(slots=True, eq=False)
class Batch:
    """Consecutive records of one container and stream, as columns of equal length.

    timestamps  ns since the epoch, as the Engine stamped them, or the records' own, then see `read_at`
    messages    the lines' bytes, without the newline; not necessarily UTF-8
    ordinals    place among the lines of that stream and timestamp; None: all 0
    truncated   the rows that were cut at `DOCKFERRY_MAX_LINE_BYTES`
    times       the timestamps as RFC 3339 text, where the source had them; else made on demand
    levels      a `Level` a row, 0 where none is known; None: no row has one
    fields      a row's parsed fields as one JSON object in UTF-8, without a newline; None: none
    read_at     the Engine's timestamps, of which ids are made, where `timestamps` are the records' own
    encoded     one encoding of the whole batch by format name, shared by every sink of that format
    undecodable the rows that an encoder of text found not to be UTF-8
    """

    container: Container
    stream: Stream
    timestamps: Sequence[int]
    messages: Sequence[bytes]
    ordinals: Sequence[int] | None = None
    truncated: frozenset[int] = frozenset()
    times: Sequence[bytes] | None = None
    levels: bytes | None = None
    fields: Sequence[bytes | None] | None = None
    read_at: Sequence[int] | None = None
    encoded: dict[str, bytes] = field(default_factory=dict, repr=False)
    undecodable: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def fields_bytes(self) -> int:
        """Bytes of all parsed fields."""
        return sum(map(len, filter(None, self.fields))) if self.fields is not None else 0

    @property
    def size(self) -> int:
        """Bytes this batch holds in memory, its encodings included."""
        return (
            sum(map(len, self.messages))
            + self.fields_bytes
            + len(self.messages) * RECORD_OVERHEAD_BYTES
            + sum(map(len, self.encoded.values()))
        )

    def rows(self, start: int, stop: int) -> Batch:
        """The records `start` to `stop` (exclusive) as a batch of their own."""
        cut = slice(start, stop)
        return Batch(
            container=self.container,
            stream=self.stream,
            timestamps=self.timestamps[cut],
            messages=self.messages[cut],
            ordinals=self.ordinals and self.ordinals[cut],
            truncated=frozenset(row - start for row in self.truncated if start <= row < stop),
            times=self.times and self.times[cut],
            levels=self.levels and self.levels[cut],
            fields=self.fields and self.fields[cut],
            read_at=self.read_at and self.read_at[cut],
            undecodable=frozenset(row - start for row in self.undecodable if start <= row < stop),
        )

    def pick(self, rows: Sequence[int]) -> Batch:
        """These records, given by their rows in rising order, as a batch of their own."""
        return Batch(
            container=self.container,
            stream=self.stream,
            timestamps=_take(self.timestamps, rows),
            messages=_take(self.messages, rows),
            ordinals=self.ordinals and _take(self.ordinals, rows),
            truncated=_places(self.truncated, rows),
            times=self.times and _take(self.times, rows),
            levels=self.levels and bytes(_take(self.levels, rows)),
            fields=self.fields and _take(self.fields, rows),
            read_at=self.read_at and _take(self.read_at, rows),
            undecodable=_places(self.undecodable, rows),
        )

    def rfc3339(self) -> Sequence[bytes]:
        """The timestamps as the Engine writes them: UTC, nine fraction digits, `Z`."""
        if self.times is None:
            self.times = list(map(rfc3339, self.timestamps))
        return self.times

    def ids(self) -> list[bytes]:
        """The records' ids: the same for the same line however often it is read.

        Container (20 hex digits), `o` or `e` for the stream, timestamp in ns, and `-k` for the k-th further
        line of that stream and timestamp.
        """
        prefix = f"{self.container.id[:20]}{self.stream.value[3]}".encode()
        read_at = self.timestamps if self.read_at is None else self.read_at
        if self.ordinals is None and self.messages:
            stamps = orjson.dumps(list(read_at))[1:-1]  # a number at a time takes twice as long
            return (prefix + stamps.replace(b",", b"," + prefix)).split(b",")
        return [
            b"%b%d-%d" % (prefix, stamp, place) if place else b"%b%d" % (prefix, stamp)
            for stamp, place in zip(read_at, self.ordinals or (), strict=True)
        ]


def _take(column: Sequence[T], rows: Sequence[int]) -> list[T]:
    return [column[row] for row in rows]


def _places(marked: frozenset[int], rows: Sequence[int]) -> frozenset[int]:
    """Where the marked rows are among these."""
    return frozenset(place for place, row in enumerate(rows) if row in marked) if marked else marked


def rfc3339(stamp: int) -> bytes:
    """A time in ns since the epoch as `2026-11-23T06:13:46.489633114Z`."""
    seconds, fraction = divmod(stamp, NS)
    return b"%b.%09dZ" % (_second(seconds), fraction)


def rfc3339_run(first: int, count: int) -> list[bytes]:
    """The times of `count` consecutive nanoseconds, from `first` on, as `rfc3339` writes each."""
    seconds, fraction = divmod(first, NS)
    if not count or fraction + count > NS:
        return list(map(rfc3339, range(first, first + count)))
    second = _second(seconds) + b"."
    numbers = orjson.dumps(list(range(NS + fraction, NS + fraction + count)))  # ten digits, the first a 1
    return (second + numbers[2:-1].replace(b",1", b"Z," + second) + b"Z").split(b",")


@functools.lru_cache(maxsize=256)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
