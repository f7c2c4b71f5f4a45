"""What may befall an agent, its sinks and a real Engine, and a schedule of it drawn from a seed.

Nobody's clock is set: agent and Engine have one on one machine, and a dockerd cannot be given another. `weather`
does that on a simulated Engine.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from typing import Final

from tests.chaos.crew import KINDS, SHORT
from tests.chaos.storm import Deed, Step, Storm
from tests.receivers.web import Answer

_LIVE: Final = ("--live-restore",)
_GATED: Final = ("tcp", "web", "elastic")
#: Part of the schedule in which nothing ends the agent, so that one life is long.
_LEFT_ALONE: Final = (0.35, 0.8)
_MEAN_STEP_S: Final = 3.0
#: The agent tries a disk that was full every second.
_WRITTEN_AGAIN_S: Final = 2.0


# --- the agent's process


async def the_agent_is_killed(storm: Storm, chance: random.Random) -> None:
    """And away for so long at times that small logs rotate."""
    async with storm.agent_away():
        storm.agent.kill()
        await asyncio.sleep(chance.choice((0.0, 0.3, 2.0, 15.0)))
        storm.agent.launch()


async def the_agent_is_restarted(storm: Storm, chance: random.Random) -> None:
    """It ends in good order, though a sink may be down."""
    async with storm.agent_away():
        storm.ended(await storm.agent.end(signal.SIGTERM), wanted=0)
        storm.agent.launch()


async def memory_runs_out(storm: Storm, chance: random.Random) -> None:
    """The kernel kills it as soon as it asks for more."""

    async def trouble() -> None:
        await asyncio.to_thread(storm.memory.tighten)
        await asyncio.sleep(6.0)
        storm.memory.loosen()

    await storm.meanwhile("memory", trouble)


async def descriptors_run_out(storm: Storm, chance: random.Random) -> None:
    """It can open next to nothing more for a while."""
    more, seconds = chance.choice((0, 1, 3)), chance.uniform(2, 6)

    async def trouble() -> None:
        storm.agent.limit_descriptors(more)
        await asyncio.sleep(seconds)
        storm.agent.limit_descriptors(None)

    await storm.meanwhile("descriptors", trouble)


async def its_disk_is_full(storm: Storm, chance: random.Random) -> None:
    """For some seconds, and then until it is written again."""
    seconds = chance.uniform(1, 6)

    async def trouble() -> None:
        storm.disk.fill()
        await asyncio.sleep(seconds)
        storm.disk.empty()
        await asyncio.sleep(_WRITTEN_AGAIN_S)

    await storm.meanwhile("disk", trouble)


# --- the Engine


async def the_engine_is_killed(storm: Storm, chance: random.Random) -> None:
    """It comes back with live-restore or without, when it stops what ran on."""
    async with storm.engine_away():
        await asyncio.to_thread(storm.engine.kill)
        await asyncio.sleep(chance.uniform(0, 2))
        storm.engine.flags = _LIVE if chance.random() < 0.5 else ()
        await asyncio.to_thread(storm.engine.start)


async def the_engine_is_restarted(storm: Storm, chance: random.Random) -> None:
    """In good order; with live-restore its containers run on meanwhile."""
    async with storm.engine_away():
        storm.engine.flags = _LIVE if chance.random() < 0.5 else ()
        await asyncio.to_thread(storm.engine.restart)


# --- containers


async def those_that_ended_start(storm: Storm, chance: random.Random) -> None:
    """All of them."""
    for writer in await storm.those("exited"):
        await storm.ask(writer.container.start)


async def a_container_is_killed(storm: Storm, chance: random.Random) -> None:
    """It stays where it is."""
    if running := await storm.those("running"):
        await storm.ask(chance.choice(running).container.kill)


async def a_container_is_restarted(storm: Storm, chance: random.Random) -> None:
    """As `docker restart` does it."""
    if running := await storm.those("running"):
        chosen = chance.choice(running).container
        await storm.ask(lambda: chosen.restart(timeout=0))


async def a_container_is_renamed(storm: Storm, chance: random.Random) -> None:
    """Its lines go on."""
    if there := await storm.those("running", "exited"):
        chosen, name = chance.choice(there), f"{chance.randrange(10**6)}"
        await storm.ask(lambda: chosen.container.rename(f"{chosen.who}-{name}"))


async def a_container_is_paused(storm: Storm, chance: random.Random) -> None:
    """For some seconds."""
    running, seconds = await storm.those("running"), chance.uniform(0.5, 4)
    if running:
        chosen = chance.choice(running).container

        async def trouble() -> None:
            await storm.ask(chosen.pause)
            await asyncio.sleep(seconds)
            await storm.ask(chosen.unpause)

        await storm.meanwhile(f"container {chosen.id}", trouble)


async def a_container_is_removed(storm: Storm, chance: random.Random) -> None:
    """As it writes; another takes its place."""
    if running := await storm.those("running"):
        chosen = chance.choice(running)
        await storm.ask(lambda: chosen.container.remove(force=True))
        await storm.launch(chosen.kind)


async def a_short_one_runs(storm: Storm, chance: random.Random) -> None:
    """For a second, and removes itself."""
    await storm.launch(SHORT)


# --- the sinks


async def a_sink_is_down(storm: Storm, chance: random.Random) -> None:
    """Connections end, and none is accepted."""
    gate, seconds = storm.gates[chance.choice(_GATED)], chance.uniform(0.5, 8)

    async def trouble() -> None:
        await gate.close()
        await asyncio.sleep(seconds)
        await gate.open()

    await storm.meanwhile(f"gate {gate.port}", trouble)


async def a_sink_is_slow(storm: Storm, chance: random.Random) -> None:
    """It reads, and answers, at some 300 kB/s."""
    gate, seconds = storm.gates[chance.choice(_GATED)], chance.uniform(2, 10)

    async def trouble() -> None:
        gate.slow = True
        await asyncio.sleep(seconds)
        gate.slow = False

    await storm.meanwhile(f"gate {gate.port}", trouble)


async def a_sink_says_nothing(storm: Storm, chance: random.Random) -> None:
    """It accepts and neither reads nor answers, at times for longer than the agent waits."""
    gate, seconds = storm.gates[chance.choice(_GATED)], chance.uniform(1, 8)

    async def trouble() -> None:
        gate.hush()
        await asyncio.sleep(seconds)
        gate.speak()

    await storm.meanwhile(f"gate {gate.port}", trouble)


async def a_sink_lies(storm: Storm, chance: random.Random) -> None:
    """Its next answers are errors, some though it has kept what came, and some are cut off."""
    name = chance.choice(("web", "elastic"))
    answers = (
        Answer(503),
        Answer(500, store=True),
        Answer(429, headers={"Retry-After": "1"}),
        Answer(cut=True),
    )
    storm.web[name].script.extend(chance.choices(answers, k=chance.randrange(1, 6)))
    storm.gates[name].cuts += chance.randrange(3)


async def a_sink_moves(storm: Storm, chance: random.Random) -> None:
    """Its name has another address from now on, and nobody listens at the old one."""
    gate = storm.gates[chance.choice(_GATED)]

    async def trouble() -> None:
        await gate.close()
        gate.host = "127.0.0.3" if gate.host == "127.0.0.2" else "127.0.0.2"
        await gate.open()
        storm.resolve()

    await storm.meanwhile(f"gate {gate.port}", trouble)


#: How often, beside the others.
ENDS_THE_AGENT: Final[dict[Deed, int]] = {
    the_agent_is_killed: 4,
    the_agent_is_restarted: 2,
    memory_runs_out: 2,
}
OTHERS: Final[dict[Deed, int]] = {
    descriptors_run_out: 2,
    its_disk_is_full: 2,
    the_engine_is_killed: 2,
    the_engine_is_restarted: 2,
    those_that_ended_start: 5,
    a_container_is_killed: 3,
    a_container_is_restarted: 2,
    a_container_is_renamed: 1,
    a_container_is_paused: 3,
    a_container_is_removed: 2,
    a_short_one_runs: 7,
    a_sink_is_down: 3,
    a_sink_is_slow: 2,
    a_sink_says_nothing: 3,
    a_sink_lies: 3,
    a_sink_moves: 2,
}


async def set_sail(storm: Storm, containers: int) -> None:
    """So many containers, of every kind."""
    for number in range(containers):
        await storm.launch(KINDS[number % len(KINDS)])


def each_once(seed: int) -> Sequence[Step]:
    """Every deed, in an order drawn from the seed, with next to no pause."""
    every = list(OTHERS | ENDS_THE_AGENT)
    random.Random(seed).shuffle(every)
    return [Step(deed, f"{seed}-{number}", 0.3) for number, deed in enumerate(every)]


def schedule(seed: int, seconds: float) -> Sequence[Step]:
    """Steps for so long and more, the same for the same arguments."""
    chance, count = random.Random(seed), int(seconds / _MEAN_STEP_S)
    first, last = (int(count * part) for part in _LEFT_ALONE)
    steps = []
    for number in range(2 * count):
        deeds = OTHERS if first <= number < last else OTHERS | ENDS_THE_AGENT
        [deed] = chance.choices(list(deeds), weights=list(deeds.values()))
        steps.append(Step(deed, f"{seed}-{number}", chance.uniform(0.3, 2.0)))
    return steps
