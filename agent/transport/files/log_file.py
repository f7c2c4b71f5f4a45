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
        """The same file, and nothing was added to it meanwhile."""
        return (self.device, self.inode, self.size) == (other.device, other.inode, other.size)

    def is_as_left(self) -> bool:
        """Whether our file is still at its path, and nobody else has written to it."""
        try:
            status = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_dev, status.st_ino, status.st_size) == (self.device, self.inode, self.size)

    def mark(self) -> Mark:
        """All of it."""
        return Mark(self.path, self.inode, self.size, check(self.tail))

    def settled_mark(self) -> Mark:
        """As much of it as is settled."""
        size, tail = self.settled
        return Mark(self.path, self.inode, size, check(tail))


@dataclass(slots=True, eq=False)
class Write:
    """Bytes by path, to be appended all or none. The caller sets `accepted` once it knows of the success."""

    parts: Mapping[str, bytes]
    accepted: bool = False
    undo: list[tuple[LogFile, int, bytes]] = field(default_factory=list)
