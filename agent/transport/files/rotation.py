"""Generations of a file: `name.1` is the newest, as logrotate numbers them; compressed: `name.1.gz`, `.zst`."""

from __future__ import annotations

import contextlib
import os
import re

from agent.transport.files.disk import Disk

SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}
#: A compressed file that is not finished.
PART = ".part"
_ROTATED = re.compile(r"\.[0-9]+(\.gz|\.zst)?|\.part")


def is_rotated(name: str) -> bool:
    """Whether a file of this name could be taken for another's older generation."""
    return any(match.end() == len(name) for match in _ROTATED.finditer(name))


def rotate(disk: Disk, folder: int, name: str, keep: int) -> None:
    """`name` becomes `name.1`, `.1` becomes `.2` …; those past `keep` are removed (0: `name` itself, too).

    Only as far as the first number that is free: the hole that a kill amid the renames has left is filled.
    """
    number = 1
    while present(disk, folder, name, number):
        number += 1
    for older in range(number - 1, 0, -1):
        for suffix in present(disk, folder, name, older):
            old = f"{name}.{older}{suffix}"
            if older >= keep:
                disk.unlink(old, folder)
            else:
                disk.rename(old, f"{name}.{older + 1}{suffix}", folder)
    if keep:
        disk.rename(name, f"{name}.1", folder)
    else:
        disk.unlink(name, folder)


def present(disk: Disk, folder: int, name: str, number: int) -> list[str]:
    """The suffixes under which this generation is there: `` (plain), `.gz`, `.zst`.

    A plain one beside its compressed one is left from a kill between the two, and removed.
    """
    suffixes = [suffix for suffix in SUFFIXES.values() if inode_of(folder, f"{name}.{number}{suffix}")]
    if inode_of(folder, f"{name}.{number}"):
        if suffixes:
            disk.unlink(f"{name}.{number}", folder)
        else:
            suffixes.append("")
    return suffixes


def plain(disk: Disk, folder: int, name: str) -> dict[int, int]:
    """The generations that are not compressed: inode → number."""
    found: dict[int, int] = {}
    number = 1
    while suffixes := present(disk, folder, name, number):
        if suffixes == [""] and (inode := inode_of(folder, f"{name}.{number}")):
            found[inode] = number
        number += 1
    return found


def inode_of(folder: int, name: str) -> int:
    """The inode of what is at `name`; 0: nothing."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    return 0
