"""The checkpoint: which files may hold more than is positioned, and how they are cut back after a kill."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import orjson

from agent.transport.files.disk import Disk, about, open_to_append

log = logging.getLogger(__name__)
#: Says whose checkpoint it is, and in which form: another sink may have had this one's name before.
FORM = "files/1"
#: How many of the last bytes are looked at again. A record's end has its id in it.
TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Mark:
    """A file by path and inode, how much of it is positioned, and a check of the last bytes of that."""

    path: str
    inode: int
    size: int
    check: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The files that may hold more than is positioned, and the paths with something to compress."""

    files: Sequence[Mark] = ()
    packing: Sequence[str] = ()

    def to_json(self) -> bytes:
        files = list(map(astuple, self.files))
        return orjson.dumps({"form": FORM, "files": files, "packing": self.packing})

    @classmethod
    def from_json(cls, data: bytes) -> Checkpoint:
        """The inverse of `to_json`; an empty one for what is of another form, with a warning."""
        try:
            saved = orjson.loads(data)
        except orjson.JSONDecodeError:
            saved = None
        if not isinstance(saved, dict) or saved.get("form") != FORM:
            log.warning("the checkpoint is not of this sink: nothing is repaired, lines may be there twice")
            return cls()
        return cls([Mark(*mark) for mark in saved["files"]], saved["packing"])


def tail_of(fd: int, size: int) -> bytes:
    """The last bytes before `size`, for the check."""
    return os.pread(fd, min(size, TAIL_BYTES), max(size - TAIL_BYTES, 0))


def check(tail: bytes) -> int:
    """What a mark remembers of a tail."""
    return zlib.crc32(tail)


def restore(disk: Disk, mark: Mark) -> None:
    """Cut the file back to what is positioned, wherever in its directory it was moved. OSError when it fails.

    An inode may have come to another file since: one whose bytes before the mark are not ours stays as it is.
    """
    path = Path(mark.path)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for name in _names_of(folder, path.name, mark.inode):
            with about(str(path.with_name(name))):
                _cut(disk, folder, name, mark)
    finally:
        os.close(folder)


def _names_of(folder: int, name: str, inode: int) -> Iterator[str]:
    """At its own name, or with something behind it, as logrotate names what it has moved."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.inode() == inode and entry.name.startswith(name):
                yield entry.name
                return


def _cut(disk: Disk, folder: int, name: str, mark: Mark) -> None:
    fd = open_to_append(name, folder)
    try:
        size = os.fstat(fd).st_size
        if size < mark.size:
            log.warning("%s has lost its last %d bytes while nobody wrote to it", name, mark.size - size)
        elif check(tail_of(fd, mark.size)) != mark.check:
            log.warning("%s is not the file it was: left as it is, lines may be there twice", name)
        elif size > mark.size:
            disk.truncate(fd, mark.size)
    finally:
        os.close(fd)
