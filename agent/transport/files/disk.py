"""The file operations that change something, and the way to a file that no symbolic link can bend.

Below the root every directory is opened relative to the one above it and never through a symbolic link, and
the file likewise: openat(2) with O_NOFOLLOW. The root, and what is above it, may be links: who configures the
path owns those.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class Disk:
    """What is done to files, one method per system call; a test can make any of them fail or be the last."""

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        os.mkdir(name, mode, dir_fd=folder)

    def create(self, name: str, mode: int, folder: int) -> int:
        """A new file to append to, and to read; FileExistsError when there is one."""
        fd = os.open(name, _APPEND | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)
        os.fchmod(fd, mode)  # whatever the umask
        return fd

    def write(self, fd: int, data: memoryview) -> int:
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def rename(self, old: str, new: str, folder: int) -> None:
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    def unlink(self, name: str, folder: int) -> None:
        os.unlink(name, dir_fd=folder)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def write_all(self, fd: int, data: bytes) -> None:
        """All of `data`; OSError when the disk took less (a part of it may be there)."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.write(fd, rest) :]


@contextlib.contextmanager
def about(path: str) -> Iterator[None]:
    """An OSError from inside names `path`, not the last step of the way there."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


@contextlib.contextmanager
def folder_of(disk: Disk, root: str, path: str, mode: int | None) -> Iterator[int]:
    """The open directory of `path`, which lies below `root`.

    mode  of the directories that are made where they are missing; None: none are made
    """
    if mode is not None:
        Path(root).mkdir(mode, parents=True, exist_ok=True)
    folder = os.open(root, _DIRECTORY)
    try:
        for name in steps(root, path)[:-1]:
            if mode is not None:
                with contextlib.suppress(FileExistsError):
                    disk.mkdir(name, mode, folder)
            below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def steps(root: str, path: str) -> list[str]:
    """The names on the way from `root` to `path`."""
    return path.removeprefix(root).lstrip("/").split("/")


def open_to_append(name: str, folder: int) -> int:
    """An existing file, ours alone until it is closed. OSError for what is no regular file, or another's."""
    fd = os.open(name, _APPEND, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "is no regular file")
        claim(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def claim(fd: int) -> None:
    """Lock an open file until it is closed; OSError when somebody else has. Where locks are unknown: nothing."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EBUSY, "another sink, or another agent, is writing to this file") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def try_directory(root: str) -> None:
    """Make a file in `root`, or where it would be made, that nobody sees. OSError when that cannot be done."""
    folder = Path(root)
    while not folder.exists() and not folder.is_symlink():
        folder = folder.parent
    with about(str(folder)), tempfile.TemporaryFile(dir=folder):
        pass
