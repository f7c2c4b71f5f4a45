"""LogFile: one file as we left it. Write: what is to be appended to several, all or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.transport.files.checkpoint import Mark, check


@dataclass(slots=True, eq=False)
class LogFile:
    """One file we write to, as we left it.

    tail      its last bytes before `size`
    settled   size and tail that the caller's position has passed, or passes with the next save
    fd        None: closed, to keep few files open
    intended  whether the durable checkpoint lists it, so that it may be written to
    """

    path: str
    device: int
    inode: int
    size: int
    tail: bytes
    settled: tuple[int, bytes]
    fd: int | None
    intended: bool = False

    def same_as(self, other: LogFile) -> bool:
        return (self.device, self.inode) == (other.device, other.inode)


@dataclass(slots=True, eq=False)
class Write:
    """Bytes by path, to be appended all or none. The caller sets `accepted` once it knows of the success."""

    parts: Mapping[str, bytes]
    accepted: bool = False
    undo: list[tuple[LogFile, int, bytes]] = field(default_factory=list)


def mark(file: LogFile, size: int, tail: bytes) -> Mark:
    return Mark(file.path, file.inode, size, check(tail))


def is_as_left(file: LogFile) -> bool:
    try:
        status = os.lstat(file.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (status.st_dev, status.st_ino, status.st_size) == (file.device, file.inode, file.size)
