"""What a client of the tail is sent: chunks become events, no more than it may have. Sans-I/O; time is an argument.

Source: the HTML standard, "Server-sent events".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import orjson

from agent.http.tap import Chunk, Client, Tap
from agent.level import Level
from agent.options import KiB

LINES_PER_S: Final = 2_000
BURST_LINES: Final = 4_000
LINE_MOST_BYTES: Final = 16 * KiB
QUIET: Final = b":\n\n"
_LEVELS: Final = [None, *(level.text for level in Level)]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a chunk, and how many of its container's lines were left out before them."""

    chunk: Chunk
    rows: Sequence[int]
    skipped: int = 0


class Frames:
    """The events of one client."""

    def __init__(self, tap: Tap, client: Client, now: float) -> None:
        self._tap, self._client = tap, client
        self._credit = float(BURST_LINES)
        self._at = now

    def take(self, now: float) -> list[bytes]:
        """What is to be sent `now`, monotonic seconds; may be nothing."""
        self._credit = min(BURST_LINES, self._credit + (now - self._at) * LINES_PER_S)
        self._at = now
        client = self._client
        chunks = client.take()
        found = [_Part(chunk, client.wanted.rows(chunk.messages, chunk.levels)) for chunk in chunks]
        parts = list(self._cut([part for part in found if part.rows]))
        self._credit -= sum(len(part.rows) for part in parts)
        events = [] if not client.unknown else [_event("skipped", {"lines": None}, "")]
        client.unknown = False
        for _, run in groupby(parts, key=lambda part: (part.chunk.container.id, part.chunk.stream)):
            events += self._joined(list(run))
        if client.skipped:
            end = self._tap.id_at(chunks[-1].end) if chunks else ""
            events.append(_event("skipped", {"lines": sum(client.skipped.values())}, end))
            client.skipped.clear()
        return events

    def _cut(self, parts: Sequence[_Part]) -> Iterator[_Part]:
        """As many rows as there is credit for: of each container alike, the newest of each."""
        counts: dict[str, int] = {}
        for part in parts:
            key = part.chunk.container.id
            counts[key] = counts.get(key, 0) + len(part.rows)
        left = int(self._credit)
        surplus: dict[str, int] = {}
        for place, (key, count) in enumerate(sorted(counts.items(), key=lambda each: each[1])):
            share = min(count, left // (len(counts) - place))
            left -= share
            surplus[key] = count - share
        for part in parts:
            key = part.chunk.container.id
            drop = min(surplus[key], len(part.rows))
            surplus[key] -= drop
            self._client.skip(key, drop)
            if drop < len(part.rows):
                yield _Part(part.chunk, part.rows[drop:], self._client.skipped.pop(key, 0))

    def _joined(self, run: Sequence[_Part]) -> Iterator[bytes]:
        """Parts of one container and stream in a row, as one event; a new one where lines were left out."""
        while run:
            stop = next((place for place, part in enumerate(run) if place and part.skipped), len(run))
            yield _event("lines", _columns(run[:stop]), self._tap.id_at(run[stop - 1].chunk.end))
            run = run[stop:]


def _columns(parts: Sequence[_Part]) -> dict[str, object]:
    container = parts[0].chunk.container
    messages = [part.chunk.messages[row] for part in parts for row in part.rows]
    return {
        "container": container.name,
        "id": container.id[:12],
        "project": container.project,
        "service": container.service,
        "stream": parts[0].chunk.stream,
        "skipped": parts[0].skipped,
        "times_us": [part.chunk.timestamps[row] // 1000 for part in parts for row in part.rows],
        "levels": _levels(parts),
        "fields": _fields(parts),
        "lines": [message[:LINE_MOST_BYTES].decode(errors="replace") for message in messages],
        "cut": {
            str(place): len(message)
            for place, message in enumerate(messages)
            if len(message) > LINE_MOST_BYTES
        },
    }


def _levels(parts: Sequence[_Part]) -> list[str | None] | None:
    if all(part.chunk.levels is None for part in parts):
        return None
    return [
        _LEVELS[part.chunk.levels[row]] if part.chunk.levels is not None else None
        for part in parts
        for row in part.rows
    ]


def _fields(parts: Sequence[_Part]) -> list[orjson.Fragment | None] | None:
    """Those too long to be shown are left out."""
    if all(part.chunk.fields is None for part in parts):
        return None
    found = [part.chunk.fields[row] if part.chunk.fields else None for part in parts for row in part.rows]
    return [orjson.Fragment(each) if each and len(each) <= LINE_MOST_BYTES else None for each in found]


def _event(name: str, data: dict[str, object], id: str) -> bytes:
    head = f"id: {id}\nevent: {name}\n" if id else f"event: {name}\n"
    return b"%bdata: %b\n\n" % (head.encode(), orjson.dumps(data))
