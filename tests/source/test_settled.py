"""The reader for Podman, on a simulated Engine that says it is one: what has settled is read, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agent.batch import NS
from agent.engine.client import EngineClient
from agent.losses import Cause
from agent.simulator import Container, SimulatedEngine
from agent.source.settled import SettledReader
from tests.source.reading import Reading


@pytest.fixture
def web(engine: SimulatedEngine) -> Container:
    container = engine.create("web")
    container.start()
    return container


@pytest.fixture
def reading(engine: SimulatedEngine, client: EngineClient, web: Container) -> Reading:
    client._version = replace(client.version, podman=True)
    return Reading(engine, client, web)


async def test_podman_is_read_so(reading: Reading) -> None:
    assert isinstance(await reading.reader(), SettledReader)


async def test_each_line_comes_once_while_it_is_written_and_over_kills(
    reading: Reading, web: Container
) -> None:
    """Killed after each block, mid-way through the next."""
    for block in range(4):
        async with reading.running():
            web.write_many([b"line %d" % number for number in range(block * 2000, block * 2000 + 2000)])
            await reading.lines(block * 2000 + 1)
    async with reading.running():
        assert await reading.lines(8000) == [b"line %d" % number for number in range(8000)]
    assert reading.losses.entries == []


async def test_what_is_a_moment_old_waits(reading: Reading, engine: SimulatedEngine, web: Container) -> None:
    """Until the Engine's clock has passed it by a second."""
    async with reading.running():
        web.write(b"old\n")
        web.write(b"young\n", at=engine.now() + NS)
        assert await reading.lines(1) == [b"old"]
        assert await reading.lines(2) == [b"old", b"young"]
        assert engine.now() >= reading.kept.batches[-1].timestamps[-1] + NS


async def test_lines_of_one_second_are_told_apart(reading: Reading, web: Container) -> None:
    """Podman before 5.8 gives them one time: killed between them, none is lost or doubled."""
    at = 1_790_000_000 * NS
    for number in range(1, 4):
        web.write(b"same\n" * 1500, at=at)  # more than are looked at from the end
        async with reading.running():
            await reading.lines(number * 1500)
    assert reading.kept.lines() == [b"same"] * 4500
    assert len(set(reading.kept.ids())) == 4500


async def test_what_was_thrown_away_unread_is_reported(reading: Reading, web: Container) -> None:
    """The mark is gone with the file: the gap is told, and what there is comes."""
    async with reading.running():
        web.write(b"before\n")
        await reading.lines(1)
    web.write(b"thrown away\n")
    web.truncate_log(0)
    web.write(b"behind\n")
    async with reading.running():
        assert await reading.lines(2) == [b"before", b"behind"]
    (loss,) = reading.losses.entries
    assert loss.cause is Cause.ROTATED
    assert (loss.first_ns, loss.last_ns) == tuple(batch.timestamps[0] for batch in reading.kept.batches)


async def test_a_container_that_ends_is_read_to_its_end(reading: Reading, web: Container) -> None:
    """Its last line need not be old, nor have a newline."""
    async with reading.running():
        web.write(b"one\n")
        await reading.lines(1)
        web.write(b"two\nthree")
        web.stop(0)
        assert await reading.lines(3) == [b"one", b"two", b"three"]


async def test_a_steady_flow_is_read_once_a_second(reading: Reading, web: Container) -> None:
    """And not as often as there is something new."""
    async with reading.running():
        for number in range(150):
            web.write(b"%d\n" % number)
            await asyncio.sleep(0.02)
        assert reading.count("stream_opens") <= 16
        assert await reading.lines(150) == [b"%d" % number for number in range(150)]


async def test_an_idle_container_costs_little(
    reading: Reading, engine: SimulatedEngine, web: Container
) -> None:
    """Nothing is asked again while the follow is quiet, but once in a while."""
    async with reading.running():
        web.write(b"one\n")
        await reading.lines(1)
        await asyncio.sleep(1.5)  # to come to rest
        asked = reading.count("stream_opens")
        await asyncio.sleep(1.0)
        assert reading.count("stream_opens") - asked <= 12
