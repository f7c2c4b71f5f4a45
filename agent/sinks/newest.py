"""The newest dead letters of a sink, for a person to look at. Reads from the end, no more than is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from agent.batch import Container, rfc3339
from agent.options import KiB, MiB
from agent.sinks.letterbox import STRUCK, DeadLetters, older, parse

MESSAGE_MOST_BYTES: Final = 16 * KiB
_READ_FIRST_BYTES, _READ_MOST_BYTES = 256 * KiB, 16 * MiB


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest first, as JSON values. `more`: there are older ones."""

    letters: list[dict[str, object]]
    more: bool


def newest(directory: Path | None, sink: str, limit: int) -> Newest:
    """The newest `limit` dead letters of a sink, `directory` being that of all. Raises OSError.

    Those that a replay has taken away are not among them. At most 16 MiB of each file are read.
    """
    path = DeadLetters(directory, sink).path
    lines: list[bytes] = []
    whole = True
    for each in () if path is None else (path, older(path)):
        if len(lines) <= limit:
            found, whole = _last_lines(each, limit + 1 - len(lines))
            lines += found
    return Newest(list(_shown(lines[:limit])), more=len(lines) > limit or not whole)


def _last_lines(path: Path, count: int) -> tuple[list[bytes], bool]:
    """The last lines that are whole and not struck out, the last first; and whether none is left out before them."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            window = _READ_FIRST_BYTES
            while True:
                start = file.seek(max(0, size - window))
                lines = file.read(size - start).split(b"\n")[1 if start else 0 : -1]
                lines = [line for line in lines if not line.startswith(STRUCK)]
                if not start or len(lines) >= count or window >= _READ_MOST_BYTES:
                    return lines[: -count - 1 : -1], not start
                window *= 4
    except FileNotFoundError:
        return [], True


def _shown(lines: list[bytes]) -> Iterator[dict[str, object]]:
    containers: dict[bytes, Container] = {}
    for line in lines:
        letter = parse(line, containers)
        if letter is not None:
            outer, message = orjson.loads(line), letter.message
            yield {
                "refused_at": outer.get("refused_at"),
                "why": outer.get("why"),
                "container": letter.container.name,
                "stream": letter.stream.value,
                "time": rfc3339(letter.timestamp).decode(),
                "message": message[:MESSAGE_MOST_BYTES].decode(errors="replace"),
                "cut": len(message) if len(message) > MESSAGE_MOST_BYTES else None,
            }
