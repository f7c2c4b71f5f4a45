"""Compression of rotated files: the whole file or none, under the number it has at the end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.transport.files.disk import Disk
from agent.transport.files.packing import CHUNK_BYTES, Packer

DATA = os.urandom(1000) * 3 * (CHUNK_BYTES // 1000)


class Meddling(Disk):
    """Somebody does something while a file is being compressed."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def write(self, fd: int, data: memoryview) -> int:
        if self._act is not None:
            act, self._act = self._act, None
            act()
        return super().write(fd, data)


def packer(directory: Path, compress: str = "gzip", disk: Disk | None = None) -> Packer:
    return Packer(disk or Disk(), str(directory), compress, fsync=False)


def pack(by: Packer, directory: Path) -> None:
    by.pack(f"{directory}/a", by.due(f"{directory}/a"))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", "gz"), ("zstd", "zst")])
def test_others_can_read_it(tmp_path: Path, compress: str, suffix: str) -> None:
    """With the programs that everybody has; time and permissions stay."""
    (tmp_path / "a.1").write_bytes(DATA)
    (tmp_path / "a.1").chmod(0o604)
    os.utime(tmp_path / "a.1", (1_000, 2_000))
    by = packer(tmp_path, compress)
    pack(by, tmp_path)
    assert names(tmp_path) == [f"a.1.{suffix}"]
    packed = tmp_path / f"a.1.{suffix}"
    assert (packed.stat().st_mode & 0o777, packed.stat().st_mtime) == (0o604, 2_000)
    assert by.pending == []
    with packed.open("rb") as data:
        assert subprocess.run([compress, "-dc"], stdin=data, capture_output=True, check=True).stdout == DATA


def test_rotated_on_meanwhile_it_gets_the_new_number(tmp_path: Path) -> None:
    """The name follows the inode."""
    (tmp_path / "a.1").write_bytes(DATA)
    pack(packer(tmp_path, disk=Meddling(lambda: shift(tmp_path))), tmp_path)
    assert names(tmp_path) == ["a.1", "a.2.gz"]


def shift(directory: Path) -> None:
    (directory / "a.1").rename(directory / "a.2")
    (directory / "a.1").write_text("newer")


def test_removed_meanwhile_it_stays_removed(tmp_path: Path) -> None:
    """Rotated out of what is kept."""
    (tmp_path / "a.1").write_bytes(DATA)
    pack(packer(tmp_path, disk=Meddling((tmp_path / "a.1").unlink)), tmp_path)
    assert names(tmp_path) == []


def test_stopped_it_leaves_the_plain_file_and_stays_pending(tmp_path: Path) -> None:
    """The next start goes on with it."""
    (tmp_path / "a.1").write_bytes(DATA)
    by = packer(tmp_path, disk=Meddling(lambda: by.stop()))  # noqa: PLW0108 - `by` is not there yet
    pack(by, tmp_path)
    assert names(tmp_path) == ["a.1"]
    assert by.pending == [f"{tmp_path}/a"]


def test_a_full_disk_leaves_the_plain_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing half is left, and the next rotation tries again."""

    def full() -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.1").write_bytes(DATA)
    (tmp_path / "a.part").write_text("from a kill before")
    by = packer(tmp_path, disk=Meddling(full))
    pack(by, tmp_path)
    assert names(tmp_path) == ["a.1"]
    assert "No space left" in caplog.text
    pack(by, tmp_path)
    assert names(tmp_path) == ["a.1.gz"]
