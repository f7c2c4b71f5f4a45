"""Dead letters on disk: records a receiver refused, kept with the reason until they are sent again.

One file per sink, `<sink>.ndjson` in `<state>/dead-letter`, one JSON object a line:

    {"refused_at":"…Z","sink":"loki","why":"…","batch":{"container":{…},"stream":"stdout","timestamp":<ns>,
     "ordinal":0,"message":"…"}}

`message_base64` stands for `message` where that is not UTF-8; `"truncated":true` is there when it was cut; and
`level`, `fields` (an object) and `read_at` (ns; the Engine's time, where `timestamp` is the record's own) where the
record has them. A line that begins with `#` was dealt with. At half its bound the file becomes `<sink>.ndjson.1`,
and the one before that is dropped. A replay takes both away as `<sink>.ndjson.replay-<n>`.

What is added is on disk before `add` returns. A crash may leave the last line torn: whoever adds next removes
it, whoever reads passes over it; its record was not acknowledged and comes again. Every change is made under
a lock on the directory, so that a replay may run beside the agent.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from agent.batch import Batch, Container, Stream, rfc3339
from agent.level import UNKNOWN, WORDS, Level
from agent.options import MiB

DEFAULT_MAX_BYTES = 64 * MiB
WHY_MOST_CHARACTERS = 1000
STRUCK = b"#"
_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """Records that a sink will not deliver, and why."""

    batch: Batch
    why: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Dead letters of one container that made room for newer ones; times in ns since the epoch."""

    container: str
    records: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter as read back."""

    container: Container
    stream: Stream
    timestamp: int
    ordinal: int
    message: bytes
    truncated: bool
    level: int = UNKNOWN
    fields: bytes | None = None
    read_at: int | None = None


class DeadLetters:
    """The dead letters of one sink; `directory` is that of all dead letters, or None: nothing is kept.

    The files are together bounded by `max_bytes`, but for a single record larger than half of that.
    """

    def __init__(
        self,
        directory: Path | None,
        name: str,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name = name
        self.path = None if directory is None else directory / f"{name}.ndjson"
        self._generation_bytes = max_bytes // 2
        self._clock = clock

    async def add(self, refusals: Sequence[Refusal]) -> Sequence[Dropped]:
        """Keep these, durably; what had to make room is returned. Raises OSError, and may be called again.

        Cancelled, it may have kept them all the same.
        """
        if self.path is None:
            return ()
        return await asyncio.to_thread(self._add, self.path, refusals)

    def _add(self, path: Path, refusals: Iterable[Refusal]) -> Sequence[Dropped]:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refused_at = rfc3339(self._clock()).decode()
        dropped: list[Dropped] = []
        lines: list[bytes] = []
        with locked(path.parent) as directory:
            size = _mend(path)
            for line in itertools.chain.from_iterable(
                encode(self.name, each, refused_at) for each in refusals
            ):
                if size and size + len(line) > self._generation_bytes:
                    _append(path, lines)
                    dropped += _turn_over(path)
                    lines, size = [], 0
                lines.append(line)
                size += len(line)
            _append(path, lines)
            os.fsync(directory)
        return dropped


def older(path: Path) -> Path:
    """The generation before `path`."""
    return path.with_name(f"{path.name}.1")


def letters(path: Path) -> Iterator[tuple[int, int, Letter | None]]:
    """The letters of a file, each with the bytes where it begins and ends. None: a line that is damaged.

    A torn last line and struck ones are passed over. Raises OSError.
    """
    containers: dict[bytes, Container] = {}
    end = 0
    with path.open("rb") as file:
        for line in file:
            start, end = end, end + len(line)
            if line.endswith(b"\n") and not line.startswith(STRUCK):
                yield start, end, parse(line, containers)


@contextmanager
def locked(directory: Path) -> Iterator[int]:
    """Nobody else, thread or process, changes the files meanwhile. Gives the directory's descriptor."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def encode(name: str, refusal: Refusal, refused_at: str) -> Iterator[bytes]:
    """The lines of one refusal, newline included."""
    batch = refusal.batch
    container = orjson.Fragment(batch.container.to_json())
    why = refusal.why[:WHY_MOST_CHARACTERS].encode(errors="replace").decode()
    for row, message in enumerate(batch.messages):
        record: dict[str, Any] = {
            "container": container,
            "stream": batch.stream.value,
            "timestamp": batch.timestamps[row],
            "ordinal": 0 if batch.ordinals is None else batch.ordinals[row],
        }
        try:
            record["message"] = message.decode()
        except UnicodeDecodeError:
            record["message_base64"] = base64.b64encode(message).decode()
        if row in batch.truncated:
            record["truncated"] = True
        if batch.levels and batch.levels[row]:
            record["level"] = Level(batch.levels[row]).text
        if batch.fields and (fields := batch.fields[row]):
            record["fields"] = orjson.Fragment(fields)
        if batch.read_at:
            record["read_at"] = batch.read_at[row]
        letter = {"refused_at": refused_at, "sink": name, "why": why, "batch": record}
        yield orjson.dumps(letter, option=orjson.OPT_APPEND_NEWLINE)


def parse(line: bytes, containers: dict[bytes, Container]) -> Letter | None:
    """The letter in a line; None: the line is damaged. `containers` keeps those of earlier lines."""
    try:
        record = orjson.loads(line)["batch"]
        constants = orjson.dumps(record["container"])
        if constants not in containers:
            containers[constants] = Container.from_json(constants)
        encoded = record.get("message_base64")
        return Letter(
            container=containers[constants],
            stream=Stream(record["stream"]),
            timestamp=int(record["timestamp"]),
            ordinal=int(record["ordinal"]),
            message=record["message"].encode()
            if encoded is None
            else base64.b64decode(encoded, validate=True),
            truncated="truncated" in record,
            level=WORDS[record["level"]] if "level" in record else UNKNOWN,
            fields=orjson.dumps(record["fields"]) if "fields" in record else None,
            read_at=int(record["read_at"]) if "read_at" in record else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _append(path: Path, lines: Sequence[bytes]) -> None:
    with open(path, "ab", opener=_private) as file:
        size = file.tell()
        try:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            # All or nothing, as far as the disk lets us: `add` is called again with the same letters.
            os.ftruncate(file.fileno(), size)
            raise


def _private(path: str, flags: int) -> int:
    # Log lines hold secrets: nobody else need read them.
    return os.open(path, flags, 0o600)


def _mend(path: Path) -> int:
    """Remove a torn last line; the file's size then, 0 when there is none."""
    try:
        with path.open("r+b") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - _BLOCK_BYTES)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                end = start if newline < 0 else start + newline + 1
                if newline >= 0:
                    break
            if end < size:
                file.truncate(end)
            return end
    except FileNotFoundError:
        return 0


def _turn_over(path: Path) -> Sequence[Dropped]:
    """Make `path` the older generation; what the one before it held is returned."""
    previous = older(path)
    dropped = _summary(previous) if previous.exists() else ()
    path.replace(previous)
    return dropped


def _summary(path: Path) -> Sequence[Dropped]:
    spans: dict[str, tuple[int, int, int]] = {}
    for _, _, letter in letters(path):
        if letter is not None:
            name, stamp = letter.container.name, letter.timestamp
            records, first, last = spans.get(name, (0, stamp, stamp))
            spans[name] = records + 1, min(first, stamp), max(last, stamp)
    return [Dropped(name, *span) for name, span in spans.items()]
