"""Answers asked for ahead: when, how many, and that nothing rotates away from them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from agent.batch import NS, Batch
from agent.engine.client import EngineClient
from agent.losses import Cause
from agent.simulator import Container, SimulatedEngine
from agent.source.ahead import Window
from tests.source.reading import DEADLINE_S, Kept, Reading

TEXT = b"%06d" + b"x" * 194
EVERY_NS = 5000


@dataclass(slots=True)
class Gate(Kept):
    """A spool that has no room for more than so many records, until it is opened."""

    room: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def hand_on(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        if len(self.lines()) >= self.room:
            await self.opened.wait()
        await Kept.hand_on(self, batches, cursors)


@dataclass(slots=True)
class Burst:
    """A container that writes 200,000 records a second, 271 bytes each, into 3 files of a megabyte."""

    engine: SimulatedEngine
    container: Container
    written: int = 0
    at_ns: int = 0

    def write(self, count: int) -> None:
        lines = [TEXT % number for number in range(self.written, self.written + count)]
        self.at_ns = self.at_ns or self.engine.now() - 30 * NS
        for line in lines:
            self.container.write_many([line], at=self.at_ns)
            self.at_ns += EVERY_NS
        self.written += count

    def asked(self) -> int:
        """How often all since some time was asked for."""
        return sum(
            request.query.get("follow") == "0" and "since" in request.query
            for request in self.engine.requests
        )


@pytest.fixture
def burst(engine: SimulatedEngine) -> Burst:
    container = engine.create("web", log_options={"max-size": "1m", "max-file": "3"})
    container.start()
    return Burst(engine, container)


async def until_asked(burst: Burst, times: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while burst.asked() < times:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def behind(reading: Reading, burst: Burst, gate: Gate) -> None:
    """Have the reader begin to catch up with 6000 records, and stand still behind the 3000th or so."""
    burst.write(1)
    async with reading.running():
        await reading.lines(1)
    burst.write(6000)
    gate.room = 3000
    reading.hand_on_to(gate)


async def test_what_was_asked_for_ahead_does_not_rotate_away(
    burst: Burst, engine: SimulatedEngine, client: EngineClient
) -> None:
    """Three answers wait while the spool has no room; each goes on where the one before ended."""
    gate = Gate(room=10)
    reading = Reading(engine, client, burst.container)
    await behind(reading, burst, gate)
    async with reading.running():
        await until_asked(burst, 1)
        await reading.until(lambda: len(reading.kept.lines()) >= gate.room)
        for times in (2, 3, 4):
            burst.write(5000)
            await until_asked(burst, times)
        burst.container.truncate_log(100)
        gate.opened.set()
        lines = await reading.lines(burst.written)
    assert lines == [TEXT % number for number in range(burst.written)]
    assert reading.losses.entries == []


async def test_what_rotated_away_all_the_same_is_counted(
    burst: Burst, engine: SimulatedEngine, client: EngineClient
) -> None:
    """By the pace alone: where in its file the mark stands, the second reader does not know."""
    gate = Gate(room=10)
    reading = Reading(engine, client, burst.container)
    await behind(reading, burst, gate)
    async with reading.running():
        await until_asked(burst, 1)
        await reading.until(lambda: len(reading.kept.lines()) >= gate.room)
        burst.write(3000)
        burst.container.truncate_log(500)
        gate.opened.set()
        await reading.until(lambda: reading.kept.lines()[-1:] == [TEXT % (burst.written - 1)])
    (loss,) = reading.losses.entries
    assert loss.cause is Cause.ROTATED
    assert reading.count("lost_records") == pytest.approx(2500, rel=0.01)
    assert len(reading.kept.lines()) == burst.written - 2500


def test_a_look_tells_when_it_is_time() -> None:
    """Six tenths of what may rotate away is left between two answers."""
    window = Window(20_000_000)
    assert (window.most, window.records(each=240.0)) == (8, 50_000)
    assert window.wait_ns(newest_ns=NS, back_ns=2 * NS) == 0
    assert window.wait_ns(newest_ns=2 * NS, back_ns=NS) == 0.6 * NS
    assert window.wait_ns(newest_ns=NS, back_ns=NS) == NS // 20


def test_large_files_are_not_kept_from_being_removed_for_long() -> None:
    """512 MiB at the most; where nothing rotates nothing is asked for."""
    assert Window(200_000_000).most == 4
    assert Window(4_000_000_000).most == 0
    assert Window(0).most == 0
    assert Window(20_000_000).records(each=0.0) == 0
