"""Asks about each container in its turn, and keeps what it hears: the one place of this room with I/O.

Asked are the containers that are read: those discovery tells of. A paused one answers as one that runs; one that
does not run is not asked about. Answers may take a second: Engine 20.10 waits for the next of its own looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.batch import NS, Batch, Container
from agent.engine.changes import Appeared, Change, Died, EngineBack, EngineLost, Gone, Renamed, Started
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts, facts_of
from agent.errors import EngineError, EngineRefused, EngineUnreachable
from agent.metrics import Metrics
from agent.stats.exposition import MOST_CONTAINERS, Exposition
from agent.stats.known import Known
from agent.stats.limits import condition_of, limits_of
from agent.stats.records import batch_of
from agent.stats.sample import sample_of
from agent.stats.timetable import Timetable

log = logging.getLogger(__name__)
HandOn = Callable[[Sequence[Batch], Mapping[str, bytes]], Awaitable[None]]

#: So many answers are waited for at once, each so long.
AT_ONCE: Final = 32
PATIENCE_S: Final = 10.0
#: Refusals of one that is no longer there, or being removed: nothing is wrong.
_ENDED: Final = (404, 409)
#: Limits may be changed while a container runs (`docker update`): they are asked for anew so often.
_TURNS_PER_LOOK: Final = 40
#: After so many answers in a row that the Engine did not give, nobody is asked for an interval.
_FAILURES: Final = 3
#: The Engine's clock and ours may differ by so much, and its times be taken for ours.
_SAME_CLOCK_S: Final = 2.0
#: A sample is shown for so many intervals, and a minute at least.
_SHOWN_INTERVALS: Final = 3
_SHOWN_LEAST_S: Final = 60.0


class StatsReader:
    """`apply` each change; `run` asks, for ever. Its metrics are in the registry from the beginning.

    interval_s  seconds from one answer of a container to the next
    describe    a container as its records tell of it
    hand_on     takes records, if those are wanted; may make a container's next turn wait
    now         monotonic seconds · clock  seconds since the epoch
    """

    def __init__(
        self,
        client: EngineClient,
        *,
        interval_s: float,
        describe: Callable[[ContainerFacts], Container],
        metrics: Metrics,
        hand_on: HandOn | None,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._describe = describe
        self._metrics = metrics
        self._hand_on = hand_on
        self._now, self._clock = now, clock
        self._known: dict[str, Known] = {}
        self._turns = Timetable(interval_s)
        self._changed = asyncio.Event()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._connected = False
        self._failures = 0
        self._rest_until = float("-inf")
        self._complaints: set[str] = set()
        oldest_s = max(_SHOWN_INTERVALS * interval_s, _SHOWN_LEAST_S)
        metrics.registry.register(Exposition(self._known.values, oldest_s=oldest_s, clock=clock))

    def apply(self, change: Change) -> None:
        """What discovery tells."""
        match change:
            case Appeared(facts) | Started(facts) | Renamed(facts):
                self._learn(facts)
            case Died(container_id, exit_code):
                self._note_end(container_id, exit_code)
            case Gone(container_id):
                self._known.pop(container_id, None)
                self._turns.drop(container_id)
            case EngineBack():
                self._connected, self._failures, self._rest_until = True, 0, float("-inf")
                self._complaints.clear()
            case EngineLost():
                self._connected = False
        self._changed.set()

    async def run(self) -> None:
        """Ask about each container in its turn. Run again after an error, it goes on with what it knows."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_around(), name="stats list")
            while True:
                container_id = self._turns.take(self._now())
                if container_id is None:
                    await self._wait()
                elif self._may_ask():
                    self._give_turn(self._known[container_id], tasks)

    async def _wait(self) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._turns.wait(self._now())):
                await self._changed.wait()

    def _may_ask(self) -> bool:
        return self._connected and self._now() >= self._rest_until

    def _give_turn(self, known: Known, tasks: asyncio.TaskGroup) -> None:
        if known.asking:
            self._count("late")
        elif known.run is not None or known.limits is None:
            tasks.create_task(self._turn(known), name=f"stats of {known.container.name}")

    async def _turn(self, known: Known) -> None:
        known.asking = True
        try:
            async with self._at_once:
                outcome = await self._judged(known)
            self._count(outcome)
            if outcome == "sample" and self._hand_on is not None and known.sample is not None:
                await self._hand_on([batch_of(known.container, known.before, known.sample)], {})
        finally:
            known.asking = False

    async def _judged(self, known: Known) -> str:
        """Ask, and say what came of it: the label of the metric."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._ask(known)
        except TimeoutError:
            self._complain("timeout", known, f"no answer within {PATIENCE_S:.0f} s")
            return "timeout"
        except ValueError as error:
            self._complain("unreadable", known, str(error))
            return "unreadable"
        except EngineRefused as error:
            if error.status not in _ENDED:
                self._complain(f"refused {error.status}", known, str(error))
            return "refused"
        except EngineUnreachable:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._rest_until = self._now() + self._turns.interval_s
            return "unreachable"

    async def _ask(self, known: Known) -> str:
        if known.limits is None or known.turns >= _TURNS_PER_LOOK:
            await self._look(known)
        run = known.run
        if run is None:
            return "ended"
        answer = await self._client.stats(known.facts.id)
        self._failures = 0
        sample = sample_of(answer)
        known.turns += 1
        if sample is None or known.run != run:
            return "ended"
        known.take(sample, seen_s(sample.read_ns, self._clock()))
        return "sample"

    async def _look(self, known: Known) -> None:
        """Inspect a container: its limits, and how its last run ended."""
        answer = await self._client.get(f"/containers/{known.facts.id}/json")
        try:
            facts, limits = facts_of(answer), limits_of(answer)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not of the shape that moby gives: {error!r}") from error
        known.update(facts, self._describe(facts))
        known.limits, known.turns = limits, 0

    async def _look_around(self) -> None:
        """How all containers fare: health and pauses have no event among those that discovery hears."""
        while True:
            await asyncio.sleep(self._turns.interval_s)
            if self._may_ask() and self._known:
                with contextlib.suppress(EngineError):
                    for entry in await self._client.get("/containers/json", all="1"):
                        if known := self._known.get(entry["Id"]):
                            known.condition = condition_of(entry)

    def _learn(self, facts: ContainerFacts) -> None:
        container = self._describe(facts)
        if known := self._known.get(facts.id):
            known.update(facts, container)
            return
        self._known[facts.id] = Known(facts, container)
        self._turns.add(facts.id, self._now())
        if len(self._known) == MOST_CONTAINERS + 1:
            log.warning(
                "more than %d containers: /metrics shows what so many use, those that run first",
                MOST_CONTAINERS,
            )

    def _note_end(self, container_id: str, exit_code: int | None) -> None:
        if known := self._known.get(container_id):
            code = known.facts.exit_code if exit_code is None else exit_code
            ended = replace(known.facts, running=False, paused=False, status="exited", exit_code=code)
            known.update(ended, known.container)

    def _count(self, outcome: str) -> None:
        self._metrics.stats_answers.labels(outcome).inc()

    def _complain(self, about: str, known: Known, why: str) -> None:
        """Say it once, until the Engine is another."""
        if about not in self._complaints:
            self._complaints.add(about)
            log.warning("what container %s uses is not known: %s", known.container.name, why)


def seen_s(read_ns: int, now_s: float) -> float:
    """When a sample was taken, seconds since the epoch: by the Engine's clock if it agrees with ours, else now."""
    read_s = read_ns / NS
    return read_s if abs(now_s - read_s) <= _SAME_CLOCK_S else now_s
