"""The state directory: made, tested, locked against a second agent; a damaged file is set aside in it.

Source: flock(2). The lock goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from agent.errors import SpoolError

LOCK = "spool.lock"


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Make the directory where it is missing, and keep every other agent out of it meanwhile.

    Raises SpoolError: it cannot be made or written, or another agent uses it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(
            f"the state directory {directory} cannot be used ({error.strerror}): make it writable for uid "
            f"{os.getuid()}, or set DOCKFERRY_STATE to another directory or to `memory`"
        ) from error
    try:
        _lock(lock, directory)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise SpoolError(f"{directory / LOCK} cannot be locked: {error.strerror}") from error
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise SpoolError(
            f"another agent (pid {holder}) uses the state directory {directory}: stop it, or give this one "
            "a DOCKFERRY_STATE of its own"
        ) from error
    # A full disk does not keep the agent from starting: then the lock only lacks its holder's number.
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)


def set_aside(path: Path, now: datetime) -> Path:
    """Rename a damaged file, its -wal and -shm with it; `now` in UTC. Returns its new name. Raises OSError."""
    target = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}-{number}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    return target
