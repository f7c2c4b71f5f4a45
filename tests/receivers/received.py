"""What a receiver of the tests has got, whatever it came in, and the rules a JSON record has to keep."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

DEADLINE_S = 40.0
KEYS = ("timestamp", "stream", "message", "truncated", "level", "fields", "tag", "host", "container", "id")
CONTAINER_KEYS = ("id", "name", "image", "labels", "env", "project", "service")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z")


class Faulty(Exception):
    """What was sent breaks a rule of its format; a test that meets this has found a bug."""


@dataclass(frozen=True, slots=True)
class Received:
    """One record, as it arrived. What a destination has no place for is None."""

    message: str
    timestamp_ns: int
    stream: str | None = None
    container: str | None = None
    container_id: str | None = None
    image: str | None = None
    host: str | None = None
    tag: str | None = None
    project: str | None = None
    service: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    truncated: bool = False
    level: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None


class Inbox:
    """Where a receiver puts what it accepted, and a test waits for it."""

    def __init__(self) -> None:
        self.records: list[Received] = []
        self.faults: list[Exception] = []
        self._changed = asyncio.Event()

    def add(self, records: Iterable[Received]) -> None:
        self.records += records
        self.notify()

    def fault(self, error: Exception) -> None:
        """A rule was broken: whoever waits learns of it."""
        self.faults.append(error)
        self.notify()

    def notify(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds. Raises the fault, if one was found; TimeoutError at the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                if self.faults:
                    raise self.faults[0]
                if condition():
                    return
                self._changed.clear()
                await self._changed.wait()

    async def have(self, count: int) -> list[Received]:
        """At least `count` records."""
        await self.until(lambda: len(self.records) >= count)
        return self.records


def read_line(line: bytes) -> Received:
    """One NDJSON record, without its newline. Raises Faulty for whatever the contract does not allow."""
    record = json.loads(line.decode("utf-8", errors="strict"), object_pairs_hook=in_order)
    if not isinstance(record, dict):
        raise Faulty(f"no object: {line[:100]!r}")
    return read_record(record)


def read_record(record: dict[str, Any]) -> Received:
    """One record, already parsed, its keys in the order they came."""
    container = record.get("container")
    if not isinstance(container, dict):
        raise Faulty(f"container is no object: {record}")
    for place, keys, optional in (
        (record, KEYS, {"truncated", "level", "fields"}),
        (container, CONTAINER_KEYS, {"labels", "env", "project", "service"}),
    ):
        if list(place) != [key for key in keys if key in place] or set(keys) - set(place) - optional:
            raise Faulty(f"wrong keys, or in a wrong order: {list(place)}")
        if any(value in (None, "", {}) for key, value in place.items() if key != "message"):
            raise Faulty(f"an absent value is not left out: {place}")
    if record["stream"] not in {"stdout", "stderr"} or record.get("truncated", True) is not True:
        raise Faulty(f"no such stream, or a truncated that is not true: {record}")
    return Received(
        message=record["message"],
        timestamp_ns=nanoseconds(record["timestamp"]),
        stream=record["stream"],
        container=container["name"],
        container_id=container["id"],
        image=container["image"],
        host=record["host"],
        tag=record["tag"],
        project=container.get("project"),
        service=container.get("service"),
        labels=container.get("labels", {}),
        truncated=record.get("truncated", False),
        level=record.get("level"),
        fields=record.get("fields", {}),
        id=record["id"],
    )


def nanoseconds(text: str) -> int:
    """An RFC 3339 time with nine digits of fraction, in ns since the epoch."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Faulty(f"no such time: {text}")
    whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int(match[2])


def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of a JSON parser's pairs. Raises Faulty when a key is there twice."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise Faulty(f"a key is there twice: {pairs}")
    return dict(pairs)
