"""The spool on a disk that is full, damaged, foreign or not there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.metrics import Metrics
from agent.options import KiB, MiB
from agent.spool import inspect
from tests.spool.batches import batch, drained, lost, number, opened

SOON = 10.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("may not mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


def fill_up(disk: Path) -> None:
    with (disk / "filler").open("wb", 0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass


async def until_degraded(metrics: Metrics, value: float) -> None:
    async with asyncio.timeout(SOON):
        while metrics.registry.get_sample_value("dockferry_spool_degraded") != value:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_full_disk_is_gone_round_through_memory(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    caplog.set_level(logging.WARNING)
    async with opened(small_disk, "a", "stuck", metrics=metrics) as spool:
        await spool.put([batch(0)], {"all": b"0"})
        await spool.flush()
        fill_up(small_disk)
        given: list[int] = []
        for n in range(1, 60):
            await spool.put([batch(n, rows=10, size=2_000)], {"all": b"%d" % n})
            await spool.put([], {"n": os.urandom(10_000)})
            await spool.flush()
            entries = await spool.reader("a").fill(records=1, bytes=1, age=0)
            given += [number(entry.batch) for entry in entries]
            spool.reader("a").done(entries)
        await until_degraded(metrics, 1)
        (small_disk / "filler").unlink()
        await until_degraded(metrics, 0)
        assert spool.cursors["all"] == b"59"
    messages = [record.message for record in caplog.records]
    assert [("cannot be written" in text, "written again" in text) for text in messages] == [
        (True, False),
        (False, True),
    ]
    async with opened(small_disk, "a", "stuck") as spool:
        spool.seal()
        assert given + await drained(spool.reader("a")) == list(range(60))
        assert await drained(spool.reader("stuck")) == list(range(60))


async def test_with_disk_and_memory_full_put_waits(small_disk: Path) -> None:
    metrics = Metrics()
    async with opened(small_disk, "a", memory=2 * MiB, metrics=metrics) as spool:
        count = 0
        with contextlib.suppress(TimeoutError):
            for count in range(1000):
                made = batch(count, rows=1)
                made.messages = [b"%d.0 " % count + os.urandom(50_000)]
                async with asyncio.timeout(1.5):
                    await spool.put([made])
        assert count < 100
        assert spool.degraded
        assert spool._queue.held_bytes <= 2 * MiB
        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            given = group.create_task(drained(spool.reader("a")))
            await spool.put([batch(count)])
            await until_degraded(metrics, 0)
            spool.seal()
        assert given.result() == list(range(count + 1))


async def test_a_damaged_file_is_set_aside_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool.db").write_bytes(b"no database at all" * 1000)
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(0)])
        spool.seal()
        assert await drained(spool.reader("a")) == [0]
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes().startswith(b"no database at all")
    assert str(aside) in caplog.text


async def test_damage_while_running_costs_only_what_was_not_in_memory(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(tmp_path, "quick", "slow", memory=256 * KiB, metrics=metrics) as spool:
        quick = spool.reader("quick")
        for n in range(100):
            await spool.put([batch(n, rows=10, size=2000)], {"all": b"%d" % n})
            await spool.flush()
            quick.done(await quick.fill(records=1, bytes=1, age=0))
        await spool.flush()
        await spool._keeper._disk._write(lambda: ruin(tmp_path / "spool.db"))  # type: ignore[union-attr]
        spool.seal()
        given = await drained(spool.reader("slow"))
        assert given == list(range(100))[-len(given) :]
        assert given
        assert lost(metrics, "spool_unreadable") == {("", "slow"): 10 * (100 - len(given))}
    assert set_aside(tmp_path)
    async with opened(tmp_path, "quick", "slow") as spool:
        assert spool.cursors == {"all": b"99"}
        assert spool.reader("slow").lag().records == 0


def set_aside(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if ".corrupt-" in path.name]


def ruin(path: Path) -> None:
    """Write over every page but the first, in the file and in its log."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))


async def test_a_damaged_row_is_one_loss_and_not_the_end(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(n) for n in range(3)])
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("UPDATE batches SET data = x'0100' WHERE seq = 2")
    db.close()
    async with opened(tmp_path, "a", metrics=metrics) as spool:
        spool.seal()
        assert await drained(spool.reader("a")) == [0, 2]
        assert spool.reader("a").lag().records == 0
    assert lost(metrics, "spool_unreadable") == {("web", "a"): 3}


async def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(0)])
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (tmp_path / "spool.db").read_bytes()
    with pytest.raises(SpoolError, match="newer"):
        async with opened(tmp_path, "a"):
            pass
    assert (tmp_path / "spool.db").read_bytes() == before


async def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(SpoolError, match="not a spool"):
        async with opened(tmp_path, "a"):
            pass


async def test_a_directory_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="DOCKFERRY_STATE"):
        async with opened(tmp_path / "file" / "state", "a"):
            pass


async def test_inspect_reads_beside_a_running_agent_and_where_there_is_nothing(tmp_path: Path) -> None:
    assert inspect(tmp_path) == []
    async with opened(tmp_path, "a", "b") as spool:
        await spool.put([batch(0), batch(1)])
        spool.reader("a").done(await spool.reader("a").fill(records=6, bytes=MiB, age=0))
        await spool.flush()
        assert [(sink.name, sink.records) for sink in inspect(tmp_path)] == [("a", 0), ("b", 6)]
