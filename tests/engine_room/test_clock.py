"""The Engine's clock beside ours, when either is set."""

from __future__ import annotations

import pytest

from agent.batch import NS
from agent.engine.clock import EngineClock
from agent.errors import EngineUnreachable

NOON = 43_200 * NS


class Enough(Exception):
    """The test has seen what it wanted."""


class World:
    """Two clocks that can be set, and one that cannot; time passes in pauses alone."""

    def __init__(self) -> None:
        self.ours, self.theirs, self.monotonic = NOON, NOON, 5 * NS
        self.asked = 0
        self.away = False
        self.clock = EngineClock(self.ask, ours=lambda: self.ours, monotonic=lambda: self.monotonic)

    async def ask(self) -> int:
        self.asked += 1
        if self.away:
            raise EngineUnreachable("it is away")
        return self.theirs // NS * NS

    async def pass_by(self, seconds: int) -> None:
        """Keep the clock for so long."""

        async def pause(length: float) -> None:
            nonlocal seconds
            if seconds < length:
                raise Enough
            seconds -= int(length)
            for name in ("ours", "theirs", "monotonic"):
                setattr(self, name, getattr(self, name) + int(length * NS))

        with pytest.raises(Enough):
            await self.clock.keep(pause)

    @property
    def error_s(self) -> float:
        """How far what we think is the Engine's time is ahead of it."""
        return (self.clock() - self.theirs) / NS


@pytest.fixture
def world() -> World:
    return World()


async def test_a_clock_that_agrees_is_ours_to_the_nanosecond(world: World) -> None:
    world.theirs = world.ours + NS // 3
    assert await world.clock.measure() == world.ours == world.clock()


async def test_another_time_is_gone_by(world: World) -> None:
    world.theirs -= 3600 * NS + NS // 3
    await world.clock.measure()
    assert -1 < world.error_s <= 0


@pytest.mark.parametrize("by", [-3600, 3600])
async def test_when_our_clock_is_set_it_is_noticed_within_two_seconds(world: World, by: int) -> None:
    await world.clock.measure()
    world.ours += by * NS
    await world.pass_by(2)
    assert abs(world.error_s) < 1
    assert world.asked == 2


@pytest.mark.parametrize("by", [-3600, 3600])
async def test_when_theirs_is_set_it_is_noticed_within_a_minute(world: World, by: int) -> None:
    await world.clock.measure()
    world.theirs += by * NS
    await world.pass_by(61)
    assert abs(world.error_s) < 1


async def test_it_does_not_jump_about_within_the_seconds_an_engine_tells(world: World) -> None:
    world.theirs += 10 * NS + NS // 2
    await world.clock.measure()
    before = world.clock() - world.ours
    world.theirs += NS // 3
    await world.pass_by(600)
    assert world.clock() - world.ours == before
    assert world.asked == 11


async def test_an_engine_that_is_away_is_asked_again(world: World) -> None:
    world.away = True
    world.ours += 3600 * NS
    await world.pass_by(3)
    world.away = False
    await world.pass_by(61)
    assert abs(world.error_s) < 1
