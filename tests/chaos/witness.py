"""What an Engine's log files held, rotated and removed ones too, read beside the Engine rather than through it.

Each file is linked to a second name as soon as it is seen, and so outlives its rotation. Source: moby
daemon/logger/jsonfilelog/jsonlog, daemon/logger/local (framing) and api/types/plugins/logdriver/entry.proto.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.receivers.received import nanoseconds

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Logged:
    """A line as the Engine keeps it, joined of its pieces; its time is that of the first, ns since the epoch."""

    text: str
    at: int


class Witness:
    """Keeps what is in the log files below dockerd's `data`, while its `with` lasts.

    Below `data` too: dockerd mounts that, and a second name cannot be in another mount.
    """

    def __init__(self, data: Path) -> None:
        self._containers, self._keep = data / "containers", data / "kept"
        self._seen: dict[int, Path] = {}
        self._last_seen: dict[str, int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._keep.mkdir()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Link what is new."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            for container in os.scandir(self._containers):
                self._look_at(Path(container.path))

    def last_seen(self, container: str) -> int:
        """When the container with this id was last there, ns since the epoch; 0: never."""
        return self._last_seen.get(container, 0)

    def lines(self, container: str) -> Iterator[Logged]:
        """All that was in the log of the container with this id at the last look, in order."""
        with self._lock:
            files = [path for path in self._seen.values() if path.parent.name == container]
        waiting: dict[str, tuple[bytes, int]] = {}
        for path in files:
            pieces = _json_file(path) if path.name.startswith("json") else _local(path)
            for stream, text, at, ends in pieces:
                before, began = waiting.pop(stream, (b"", at))
                if ends:
                    yield Logged((before + text).decode("utf-8", errors="replace"), began)
                else:
                    waiting[stream] = before + text, began

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            self.look()

    def _look_at(self, container: Path) -> None:
        kept = self._keep / container.name
        self._last_seen[container.name] = time.time_ns()
        found = [*container.glob(f"{container.name}-json.log*"), *container.glob("local-logs/container.log*")]
        for path in sorted(found, key=lambda path: path.name, reverse=True):  # log.1 is older than log
            with contextlib.suppress(FileNotFoundError):  # rotated or removed this very moment
                number = path.stat().st_ino
                if path.suffix == ".gz" or number in self._seen:
                    continue
                kept.mkdir(exist_ok=True)
                name = kept / f"{'json' if 'json' in path.name else 'local'}-{len(self._seen):06}"
                name.hardlink_to(path)
                self._seen[name.stat().st_ino] = name


def _json_file(path: Path) -> Iterator[tuple[str, bytes, int, bool]]:
    with path.open("rb") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):  # the Engine was killed as it wrote
                entry = json.loads(line)
                text = entry["log"].encode()
                whole, _, fraction = entry["time"].removesuffix("Z").partition(".")
                at = nanoseconds(f"{whole}.{fraction:0<9}Z")
                yield entry["stream"], text.removesuffix(b"\n"), at, text.endswith(b"\n")


def _local(path: Path) -> Iterator[tuple[str, bytes, int, bool]]:
    data, at = path.read_bytes(), 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        entry, at = data[at + 4 : at + 4 + size], at + size + 8
        if len(entry) < size:
            return
        stream, time_ns, text, partial, last = "", 0, b"", False, False
        for number, value in _fields(entry):
            match number, value:
                case 1, bytes():
                    stream = value.decode()
                case 2, int():
                    time_ns = value
                case 3, bytes():
                    text = value
                case 4, int():
                    partial = bool(value)
                case 5, bytes():
                    last = (1, 1) in _fields(value)
                case _:
                    pass
        yield stream, text, time_ns, last or not partial


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a Protocol Buffers message that has integers and bytes only."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 0:
            yield tag >> 3, value
        else:
            yield tag >> 3, message[at : at + value]
            at += value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 0x80:
            return value, at
