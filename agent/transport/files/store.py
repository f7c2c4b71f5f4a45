"""Store: the files of one sink, written to by one thread. The package's docstring says what it keeps, and how.

Every method but `Packer.pack`, which `submit` is given, belongs to that thread. OSErrors name the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from agent.transport.files.checkpoint import TAIL_BYTES, Checkpoint, Mark, restore, tail_of
from agent.transport.files.disk import Disk, about, claim, folder_of, open_to_append, steps, try_directory
from agent.transport.files.log_file import LogFile, Write
from agent.transport.files.packing import Packer
from agent.transport.files.rotation import rotate

#: How many files are held open at once.
OPEN_FILES = 128

Submit: TypeAlias = Callable[[Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class Shape:
    """How files are made and kept.

    limit     bytes; a file is rotated before the write that would take it past this; 0: never
    keep      how many rotated files stay
    compress  `none`, `gzip` or `zstd`: what becomes of rotated files
    mode      of new files; directories get the same, and may be entered by whoever may read
    fsync     a write is on the disk before it counts: after a power failure nothing is missing, though some
              may be there twice. Else the last seconds may be missing, as with any file.
    """

    limit: int = 0
    keep: int = 5
    compress: str = "none"
    mode: int = 0o640
    fsync: bool = False

    @property
    def folder_mode(self) -> int:
        return self.mode | (self.mode & 0o444) >> 2 | 0o300


@dataclass(frozen=True, slots=True)
class Intent:
    """Nothing is written yet: save `intent` with the position, durably, then `finish`.

    checkpoint  as in `Written`: for when the position passes all that was written before this
    """

    intent: bytes
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """All is appended. The checkpoint belongs to the position behind it.

    Who has saved it, or will with the next save, sets `Store.settled`.
    """

    checkpoint: bytes


class _Replaced(OSError):
    """A file closed to keep few open is no longer at its path."""


class Store:
    """The files below `root`. See `Shape`; `submit` runs a function in the packing thread.

    settled  set by the caller, from its own thread, when the position passes all that was accepted. Where a
             position covers several writes, intents in between list what the last one left.
    """

    def __init__(self, root: str, shape: Shape, disk: Disk, submit: Submit) -> None:
        self._root = root
        self._shape = shape
        self._disk = disk
        self._submit = submit
        self._files: dict[str, LogFile] = {}
        self._open_files: dict[str, LogFile] = {}  # the one not used for longest comes first
        self._rotated: set[str] = set()
        self._behind: list[LogFile] = []  # no longer ours to write to, but not settled
        self.settled = False
        self._last = Write({})
        self.packer = Packer(disk, root, shape.compress, fsync=shape.fsync)

    def repair(self, saved: bytes) -> None:
        """Make every file what `saved` says it is. OSError: try again."""
        checkpoint = Checkpoint.from_json(saved)
        for listed in checkpoint.files:
            restore(self._disk, listed)
        paths = [*(listed.path for listed in checkpoint.files), *checkpoint.packing]
        below = self._root.rstrip("/") + "/"
        self._rotated |= {path for path in paths if path.startswith(below)}
        self._pack()

    def begin(self, write: Write) -> Intent | Written:
        """Open and rotate what `write` needs, and append it if no intent is to be saved first."""
        self._undo(self._last)
        self._settle()
        for path, data in write.parts.items():
            with about(path):
                self._prepare(path, len(data))
        to_pack = self._rotated and not self._behind
        if not to_pack and all(self._files[path].intended for path in write.parts):
            return self._append_all(write)
        for path in [path for path, file in self._files.items() if file.fd is None]:
            if path not in write.parts:
                self._forget(path)
        return Intent(self._unsettled(), self._checkpoint())

    def finish(self, write: Write) -> Written:
        """Append `write`, whose intent is durable."""
        for file in self._files.values():
            file.intended = True
        if not self._behind:
            self._pack()
        return self._append_all(write)

    def close(self) -> bytes:
        """Undo what was not accepted, and let go. The checkpoint to save: all that is settled is complete."""
        try:
            self._undo(self._last)
            self._settle()
        finally:
            for path in list(self._files):
                self._forget(path)
        return self._unsettled()

    def probe(self, path: str | None) -> None:
        """Try whether files can be made below the root, and whether `path` can be written to. OSError: no."""
        try_directory(self._root)
        if path is None or path in self._open_files:
            return
        with (
            about(path),
            contextlib.suppress(FileNotFoundError),
            folder_of(self._disk, self._root, path, None) as folder,
        ):
            os.close(open_to_append(steps(self._root, path)[-1], folder))

    def _checkpoint(self) -> bytes:
        """For a position behind all that was written."""
        return self._listing([file.mark() for file in self._files.values()])

    def _unsettled(self) -> bytes:
        """For the position as it is."""
        return self._listing([file.settled_mark() for file in (*self._behind, *self._files.values())])

    def _listing(self, marks: list[Mark]) -> bytes:
        return Checkpoint(marks, sorted({*self._rotated, *self.packer.pending})).to_json()

    def _settle(self) -> None:
        if self.settled:
            self.settled = False
            self._behind.clear()
            for file in self._files.values():
                file.settled = file.size, file.tail

    def _prepare(self, path: str, more: int) -> None:
        """Have the file at `path` listed as it is, with room for `more` bytes."""
        file = self._files.get(path)
        if file is not None and not file.is_as_left():
            self._forget(path)
            file = None
        file = file or self._open(path)
        if self._shape.limit and file.size and file.size + more > self._shape.limit:
            self._rotate(path)
            self._open(path)

    def _open(self, path: str) -> LogFile:
        with folder_of(self._disk, self._root, path, self._shape.folder_mode) as folder:
            name = steps(self._root, path)[-1]
            try:
                fd = open_to_append(name, folder)
            except FileNotFoundError:
                fd = self._create(name, folder)
        status = os.fstat(fd)
        tail = tail_of(fd, status.st_size)
        size = status.st_size
        file = LogFile(path, status.st_dev, status.st_ino, size, tail, (size, tail), fd)
        for earlier in [each for each in self._behind if each.same_as(file)]:  # ours, closed meanwhile
            file.settled = earlier.settled
            self._behind.remove(earlier)
        self._files[path] = file
        self._use(file)
        return file

    def _create(self, name: str, folder: int) -> int:
        fd = self._disk.create(name, self._shape.mode, folder)
        try:
            claim(fd)
            if self._shape.fsync:
                self._disk.sync(folder)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _rotate(self, path: str) -> None:
        with self.packer.names, folder_of(self._disk, self._root, path, None) as folder:
            if self.packer.wanted:
                self._rotated.add(path)
            rotate(self._disk, folder, steps(self._root, path)[-1], self._shape.keep)
        self._forget(path)

    def _forget(self, path: str) -> None:
        file = self._files.pop(path)
        self._open_files.pop(path, None)
        if file.fd is not None:
            os.close(file.fd)
            file.fd = None
        if file.size != file.settled[0]:
            self._behind.append(file)

    def _use(self, file: LogFile) -> None:
        """It is open, and the last to be closed."""
        self._open_files.pop(file.path, None)
        self._open_files[file.path] = file
        if len(self._open_files) > OPEN_FILES:
            idle = self._open_files.pop(next(iter(self._open_files)))
            if idle.fd is not None:
                os.close(idle.fd)
                idle.fd = None

    def _descriptor(self, file: LogFile) -> int:
        if file.fd is None:
            with folder_of(self._disk, self._root, file.path, None) as folder:
                fd = open_to_append(steps(self._root, file.path)[-1], folder)
            if os.fstat(fd).st_ino != file.inode:
                os.close(fd)
                raise _Replaced(errno.ESTALE, "was replaced by somebody just now")
            file.fd = fd
        self._use(file)
        return file.fd

    def _append_all(self, write: Write) -> Written:
        self._last = write
        try:
            for path, data in write.parts.items():
                with about(path):
                    self._append(write, self._files[path], data)
        except OSError:
            with contextlib.suppress(OSError):  # then it is undone before the next write
                self._undo(write)
            raise
        return Written(self._checkpoint())

    def _append(self, write: Write, file: LogFile, data: bytes) -> None:
        fd = self._descriptor(file)
        if file.tail and not file.tail.endswith(b"\n"):  # somebody's half line is not to swallow our first
            data = b"\n" + data
        write.undo.append((file, file.size, file.tail))
        self._disk.write_all(fd, data)
        if self._shape.fsync:
            self._disk.sync(fd)
        file.size += len(data)
        file.tail = (file.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]

    def _undo(self, write: Write) -> None:
        """Take back what was not accepted. OSError: some of it is still there."""
        while write.undo and not write.accepted:
            file, size, tail = write.undo[-1]
            with about(file.path), contextlib.suppress(_Replaced, FileNotFoundError):
                fd = self._descriptor(file)
                if os.fstat(fd).st_size > size:  # else somebody has cut it, and this would fill it with zeros
                    self._disk.truncate(fd, size)
            file.size, file.tail = size, tail
            write.undo.pop()

    def _pack(self) -> None:
        for path in self._rotated if self.packer.wanted else ():
            inodes = self.packer.due(path)
            self._submit(partial(self.packer.pack, path, inodes))
        self._rotated.clear()
