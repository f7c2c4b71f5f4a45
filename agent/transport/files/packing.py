"""Compression of rotated files, in a thread of its own: to `name.part`, which is then renamed.

A file being compressed may be rotated on meanwhile: it is known by its inode, and named by the number it has
at the end. `names` is held by whoever renames.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import cramjam

from agent.transport.files.disk import Disk, folder_of, steps
from agent.transport.files.rotation import PART, SUFFIXES, plain

log = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 20
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3
_WITH_GZIP_HEADER = 31


class _Stopped(Exception):
    """The process ends; the file's turn comes at the next start."""


class Packer:
    """Compresses the rotated files of one store. `pack` is for the packing thread, the rest for the store's."""

    def __init__(self, disk: Disk, root: str, compress: str, *, fsync: bool) -> None:
        self.names = threading.Lock()
        self._disk = disk
        self._root = root
        self._compress = compress
        self._fsync = fsync
        self._pending: Counter[str] = Counter()
        self._stopped = threading.Event()

    @property
    def wanted(self) -> bool:
        return self._compress in SUFFIXES

    @property
    def pending(self) -> list[str]:
        """The paths that have something left to compress."""
        with self.names:
            return sorted(self._pending)

    def stop(self) -> None:
        """Give up soon, within a chunk; what is pending stays so."""
        self._stopped.set()

    def due(self, path: str) -> Sequence[int]:
        """The inodes there are to compress now, oldest first; they are pending until packed."""
        try:
            with self.names, folder_of(self._disk, self._root, path, None) as folder:
                inodes = list(plain(self._disk, folder, steps(self._root, path)[-1]))[::-1]
                self._pending[path] += 1
        except FileNotFoundError:
            return ()
        return inodes

    def pack(self, path: str, inodes: Sequence[int]) -> None:
        """Compress those of `inodes` that are still there as generations of `path`."""
        try:
            with folder_of(self._disk, self._root, path, None) as folder:
                name = steps(self._root, path)[-1]
                self._discard(folder, name)
                for inode in inodes:
                    self._pack_one(folder, name, inode)
        except _Stopped:
            return
        except OSError as error:
            log.warning(
                "cannot compress what was rotated from %s: %s; it stays as it is until the next rotation",
                path,
                error.strerror,
            )
        with self.names:
            self._pending[path] -= 1
            self._pending += Counter()  # forgets what is at 0

    def _pack_one(self, folder: int, name: str, inode: int) -> None:
        source = self._open(folder, name, inode)
        if source is None:
            return
        try:
            self._write_part(folder, name, source)
            with self.names:
                number = plain(self._disk, folder, name).get(inode)
                if number is None:  # removed, or rotated out of what is kept
                    self._discard(folder, name)
                    return
                packed = f"{name}.{number}{SUFFIXES[self._compress]}"
                self._disk.rename(name + PART, packed, folder)
                self._disk.unlink(f"{name}.{number}", folder)
        except (OSError, _Stopped):
            self._discard(folder, name)
            raise
        finally:
            os.close(source)

    def _open(self, folder: int, name: str, inode: int) -> int | None:
        with self.names:
            number = plain(self._disk, folder, name).get(inode)
            if number is None:
                return None
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(f"{name}.{number}", flags, dir_fd=folder)

    def _write_part(self, folder: int, name: str, source: int) -> None:
        status = os.fstat(source)
        part = self._disk.create(name + PART, status.st_mode & 0o7777, folder)
        try:
            for data in self._compressed(source):
                self._disk.write_all(part, data)
            with contextlib.suppress(PermissionError):  # as root: the owner stays the same
                os.fchown(part, status.st_uid, status.st_gid)
            os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
            if self._fsync:
                self._disk.sync(part)
        finally:
            os.close(part)

    def _compressed(self, source: int) -> Iterator[bytes]:
        compress, finish = _compressor(self._compress)
        while data := os.read(source, CHUNK_BYTES):
            if self._stopped.is_set():
                raise _Stopped
            yield compress(data)
        yield finish()

    def _discard(self, folder: int, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(name + PART, folder)


def _compressor(compress: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """What makes compressed bytes of plain ones, and what gives the last of them."""
    if compress == "gzip":
        gzip = zlib.compressobj(_GZIP_LEVEL, wbits=_WITH_GZIP_HEADER)
        return gzip.compress, gzip.flush
    zstd = cramjam.zstd.Compressor(level=_ZSTD_LEVEL)

    def step(data: bytes) -> bytes:
        zstd.compress(data)
        return bytes(zstd.flush())

    return step, lambda: bytes(zstd.finish())
