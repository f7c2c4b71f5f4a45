"""What the spool promises while all is well: order, waiting, routing, memory, room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.metrics import Metrics
from agent.options import KiB, MiB
from agent.spool import inspect
from tests.spool.batches import WEB, batch, container, drained, lost, number, opened

SOON = 5.0


@pytest.fixture(params=["disk", "memory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """What holds in both modes is tested in both."""
    return tmp_path / "state" if request.param == "disk" else None


async def test_a_sink_that_keeps_up_is_fed_the_very_batches(state: Path | None) -> None:
    async with opened(state, "a", "b") as spool:
        made = [batch(n) for n in range(4)]
        await spool.put(made)
        for name in "ab":
            entries = await spool.reader(name).fill(records=12, bytes=MiB, age=SOON)
            assert [entry.batch for entry in entries] == made
        assert spool.reader("a").lag().records == 12


async def test_fill_waits_for_its_records_and_returns_when_they_are_there(state: Path | None) -> None:
    async with opened(state, "a") as spool, asyncio.timeout(SOON):
        async with asyncio.TaskGroup() as group:
            fill = group.create_task(spool.reader("a").fill(records=6, bytes=MiB, age=60))
            await spool.put([batch(0)])
            await spool.flush()
            assert not fill.done()
            await spool.put([batch(1)])
        assert [number(entry.batch) for entry in fill.result()] == [0, 1]


async def test_fill_waits_no_longer_than_the_age_of_the_oldest(state: Path | None) -> None:
    async with opened(state, "a") as spool, asyncio.timeout(SOON):
        await spool.put([batch(0)])
        assert len(await spool.reader("a").fill(records=100, bytes=MiB, age=0.1)) == 1


async def test_a_fill_that_is_cancelled_has_taken_nothing(state: Path | None) -> None:
    async with opened(state, "a") as spool:
        await spool.put([batch(0)])
        await spool.flush()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await spool.reader("a").fill(records=100, bytes=MiB, age=60)
        spool.seal()
        assert await drained(spool.reader("a")) == [0]


async def test_a_sealed_reader_is_given_what_is_left_and_ends(state: Path | None) -> None:
    async with opened(state, "a") as spool, asyncio.timeout(SOON):
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(drained(spool.reader("a")))
            await spool.put([batch(0), batch(1)])
            spool.seal()
        assert waiting.result() == [0, 1]
        with pytest.raises(RuntimeError):
            await spool.put([batch(2)])


async def test_batches_for_named_sinks_go_to_those_only(state: Path | None) -> None:
    async with opened(state, "a", "b") as spool:
        await spool.put([batch(0, who=container("x", ["a"])), batch(1, who=container("y", ["b"])), batch(2)])
        spool.seal()
        assert await drained(spool.reader("a")) == [0, 2]
        assert await drained(spool.reader("b")) == [1, 2]


async def test_rewind_gives_again_what_is_not_done_oldest_first(state: Path | None) -> None:
    async with opened(state, "a") as spool:
        reader = spool.reader("a")
        await spool.put([batch(n) for n in range(4)])
        entries = await reader.fill(records=9, bytes=MiB, age=0)
        reader.done([entries[1]])
        reader.rewind()
        spool.seal()
        assert await drained(reader) == [0, 2, 3]


async def test_after_a_restart_exactly_what_was_not_done_is_given(tmp_path: Path) -> None:
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(n) for n in range(5)], {"id": b"cursor"})
        entries = await spool.reader("a").fill(records=15, bytes=MiB, age=0)
        spool.reader("a").done([entries[0], entries[2], entries[3]], b"point")
        await spool.remember("key", b"fact")
    async with opened(tmp_path, "a") as spool:
        assert (spool.cursors, spool.recall("key")) == ({"id": b"cursor"}, b"fact")
        assert spool.reader("a").checkpoint == b"point"
        spool.seal()
        assert await drained(spool.reader("a")) == [1, 4]


async def test_what_was_done_out_of_order_stays_done_over_two_restarts(tmp_path: Path) -> None:
    """Looked at again in between, but not passed: it has to be saved anew."""
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(n) for n in range(3)])
        entries = await spool.reader("a").fill(records=9, bytes=MiB, age=0)
        spool.reader("a").done([entries[1]])
    async with opened(tmp_path, "a") as spool:
        entries = await spool.reader("a").fill(records=9, bytes=MiB, age=0)
        assert [number(entry.batch) for entry in entries] == [0, 2]
        spool.reader("a").done([])
        await spool.put([batch(3)])
    async with opened(tmp_path, "a") as spool:
        spool.seal()
        assert await drained(spool.reader("a")) == [0, 2, 3]


async def test_a_new_sink_begins_at_the_end_and_a_removed_one_holds_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(0)])
    async with opened(tmp_path, "b") as spool:
        await spool.put([batch(1)])
        await spool.flush()
        assert [(sink.name, sink.records) for sink in inspect(tmp_path)] == [("b", 3)]
        spool.seal()
        assert await drained(spool.reader("b")) == [1]
    with sqlite3.connect(tmp_path / "spool.db") as db:
        assert db.execute("SELECT count(*) FROM batches").fetchone() == (0,)
    db.close()


async def test_forgotten_cursors_are_gone(tmp_path: Path) -> None:
    async with opened(tmp_path, "a") as spool:
        await spool.put([], {"x": b"1", "y": b"2"})
        await spool.forget(["x"])
    async with opened(tmp_path, "a") as spool:
        assert spool.cursors == {"y": b"2"}


async def test_a_laggard_is_fed_from_disk_and_memory_stays_bounded(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(tmp_path, "quick", "slow", memory=256 * KiB, metrics=metrics) as spool:
        async with asyncio.TaskGroup() as group:
            quick = group.create_task(drained(spool.reader("quick")))
            for n in range(300):
                await spool.put([batch(n, rows=20, size=200)])
                assert spool._queue.held_bytes <= 2 * 256 * KiB
            await spool.flush()
            spool.seal()
        assert quick.result() == list(range(300))
        assert await drained(spool.reader("slow")) == list(range(300))
        assert spool._queue.held_bytes == 0


async def test_a_full_spool_loses_the_oldest_of_the_laggard_and_says_so(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(tmp_path, "a", "b", memory=256 * KiB, disk=200 * KiB, metrics=metrics) as spool:
        noise = [batch(n, rows=10) for n in range(200)]
        for made in noise:
            made.messages = [os.urandom(400) for _ in made.messages]
            await spool.put([made])
            await spool.flush()
            spool.reader("a").done(await spool.reader("a").fill(records=10, bytes=MiB, age=0))
        spool.seal()
        given: list[bytes] = []
        while entries := await spool.reader("b").fill(records=100, bytes=MiB, age=0):
            given += [message for entry in entries for message in entry.batch.messages]
            spool.reader("b").done(entries)
        gone = lost(metrics, "spool_full")
        assert set(gone) == {("web", "b")}
        assert len(given) + gone["web", "b"] == 2000
        assert given == [message for made in noise for message in made.messages][-len(given) :]
        assert len(given) > 300
    assert (tmp_path / "spool.db").stat().st_size < 2 * 200 * KiB + 256 * KiB


async def test_a_full_spool_makes_put_wait_for_a_laggard_that_blocks(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(
        tmp_path, "a", on_full="block", memory=256 * KiB, disk=64 * KiB, metrics=metrics
    ) as spool:
        count = 0
        with contextlib.suppress(TimeoutError):
            for count in range(1000):
                made = batch(count, rows=1)
                made.messages = [b"%d.0 " % count + os.urandom(4000)]
                async with asyncio.timeout(0.5):
                    await spool.put([made])
        assert 16 <= count < 100
        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            given = group.create_task(drained(spool.reader("a")))
            await spool.put([batch(count)])
            spool.seal()
        assert given.result() == list(range(count + 1))
        assert not lost(metrics, "spool_full")


async def test_full_memory_loses_the_oldest(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(None, "a", memory=64 * KiB, metrics=metrics) as spool:
        for n in range(100):
            await spool.put([batch(n, size=500)])
        assert spool._queue.held_bytes <= 64 * KiB
        spool.seal()
        given = await drained(spool.reader("a"))
        assert given == list(range(100))[-len(given) :]
        assert lost(metrics, "spool_full") == {("web", "a"): 3 * (100 - len(given))}


async def test_full_memory_makes_put_wait_for_a_sink_that_blocks() -> None:
    async with opened(None, "a", on_full="block", memory=64 * KiB) as spool, asyncio.timeout(SOON):
        async with asyncio.TaskGroup() as group:
            given = group.create_task(drained(spool.reader("a")))
            for n in range(200):
                await spool.put([batch(n, size=500)])
                assert spool._queue.held_bytes <= 64 * KiB
            spool.seal()
        assert given.result() == list(range(200))


async def test_memory_mode_reports_what_was_left_at_the_end() -> None:
    metrics = Metrics()
    async with opened(None, "a", metrics=metrics) as spool:
        await spool.put([batch(0), batch(1)])
        spool.reader("a").done(await spool.reader("a").fill(records=3, bytes=MiB, age=0))
    assert lost(metrics, "shutdown_in_memory_mode") == {("web", "a"): 3}


async def test_the_file_does_not_grow_while_everything_is_delivered(tmp_path: Path) -> None:
    async with opened(tmp_path, "a") as spool:
        reader = spool.reader("a")
        for n in range(600):
            made = batch(n, rows=10)
            made.messages = [os.urandom(2000) for _ in made.messages]
            await spool.put([made])
            await spool.flush()
            reader.done(await reader.fill(records=10, bytes=MiB, age=0))
    # Twelve megabytes have passed; what stays is what waited between two commits.
    assert (tmp_path / "spool.db").stat().st_size < 4 * MiB


async def test_a_second_agent_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    async with opened(tmp_path, "a"):
        with pytest.raises(SpoolError, match=f"pid {os.getpid()}"):
            async with opened(tmp_path, "a"):
                pass


async def test_what_the_body_raises_passes_unwrapped(tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(tmp_path, "a") as spool:
            await spool.put([batch(0)], {WEB.id: b"1"})
            raise KeyError

    with pytest.raises(KeyError):
        await body()
    async with opened(tmp_path, "a") as spool:
        assert spool.cursors == {WEB.id: b"1"}
