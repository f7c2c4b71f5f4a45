"""Generations: numbered as logrotate does, whatever a kill has left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.transport.files import Disk
from agent.transport.files.rotation import is_rotated, plain, rotate


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def make(directory: Path, *names: str) -> None:
    """Files that hold their own names."""
    for name in names:
        (directory / name).write_text(name)


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_the_newest_is_1_and_those_past_keep_go(tmp_path: Path, folder: int) -> None:
    """Compressed ones keep their suffix, whichever it is."""
    make(tmp_path, "a", "a.1", "a.2.gz", "a.3.zst", "a.4", "b.1")
    rotate(Disk(), folder, "a", 3)
    assert contents(tmp_path) == {"a.1": "a", "a.2": "a.1", "a.3.gz": "a.2.gz", "b.1": "b.1"}


def test_a_hole_is_filled_and_nothing_removed(tmp_path: Path, folder: int) -> None:
    """A kill amid the renames leaves one."""
    make(tmp_path, "a", "a.1", "a.3")
    rotate(Disk(), folder, "a", 3)
    assert contents(tmp_path) == {"a.1": "a", "a.2": "a.1", "a.3": "a.3"}


def test_none_kept_is_none_left(tmp_path: Path, folder: int) -> None:
    """keep=0: a file of bounded size, and no other."""
    make(tmp_path, "a", "a.1")
    rotate(Disk(), folder, "a", 0)
    assert contents(tmp_path) == {}


def test_a_plain_one_beside_its_compressed_one_goes(tmp_path: Path, folder: int) -> None:
    """A kill between the renaming of the one and the removal of the other."""
    make(tmp_path, "a.1", "a.1.gz", "a.2")
    assert plain(Disk(), folder, "a") == {(tmp_path / "a.2").stat().st_ino: 2}
    assert set(contents(tmp_path)) == {"a.1.gz", "a.2"}


@pytest.mark.parametrize("name", ["a.1", "a.12.gz", "a.1.2", "a.3.zst", "a.part", "a.1.gz.2"])
def test_names_of_rotated_files_are_known(name: str) -> None:
    """So that no container's file is taken for one."""
    assert is_rotated(name)


@pytest.mark.parametrize("name", ["a", "a.b", "a1", "a.1b", "a.gz", "a.1.ndjson"])
def test_other_names_are_not(name: str) -> None:
    """They stay as they are."""
    assert not is_rotated(name)
