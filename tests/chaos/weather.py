"""What befalls an Engine and its containers, drawn from a seed, and an agent's voyage through it.

Every fault passes, and every line can still be read once it has: so none may be missing at the end. A container
is removed only when all it wrote has arrived, since what is removed unread nobody can deliver.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from agent.simulator import Container, SimulatedEngine, SteppableClock
from agent.simulator.faults import Route
from tests.chaos.ledger import Ledger
from tests.chaos.shipping import Agent, until
from tests.engine.shipping import messages
from tests.receivers.tcp import TcpReceiver
from tests.receivers.web import HttpReceiver

CONTAINERS: Final = 10
#: Requests that one kill may make come again, over TCP and HTTP.
REPEATS_PER_KILL: Final = 20_000
_HOUR_S: Final = 3600
_DRIVERS: Final = ("json-file", "local", "syslog")
Deed: TypeAlias = Callable[["Voyage"], Coroutine[Any, Any, None]]


@dataclass
class Voyage:
    """An agent with three sinks, ten containers that write, and a seed."""

    engine: SimulatedEngine
    clock: SteppableClock
    directory: Path
    seed: int
    ledger: Ledger = field(default_factory=Ledger)
    tcp: TcpReceiver = field(default_factory=TcpReceiver)
    web: HttpReceiver = field(default_factory=HttpReceiver)
    log: list[str] = field(default_factory=list)
    kills: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.file = self.directory / "out.ndjson"
        self.agent: Agent
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self.tcp.listening())
        await self._open.enter_async_context(self.web.listening())
        sinks = {
            "file": f"file://{self.file}?batch_age=100ms&rotate_bytes=0",
            "tcp": f"tcp://127.0.0.1:{self.tcp.port}?batch_age=100ms",
            "web": f"http://127.0.0.1:{self.web.port}/logs?batch_age=100ms",
        }
        self.agent = Agent(self.engine.docker_host, self.directory, sinks)
        await self._open.enter_async_context(self.agent)
        for _ in range(CONTAINERS):
            self.launch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    # --- containers

    def launch(self) -> Container:
        """One more container, that runs."""
        self.made += 1
        policy = self.random.choice(("no", "always"))
        container = self.engine.create(
            f"box-{self.made}",
            driver=self.random.choice(_DRIVERS),
            tty=self.random.random() < 0.1,
            restart_policy=policy,
        )
        container.start()
        return container

    def pick(self, *, running: bool = True) -> Container | None:
        """Some container."""
        there = [each for each in self.engine.containers if each.running == running]
        return self.random.choice(there) if there else None

    def write(self) -> None:
        """Some containers write a few lines, on either stream; a TTY has only one."""
        for container in self.engine.containers:
            if container.state.value == "running" and self.random.random() < 0.5:
                stream = (
                    "stdout" if container.spec.tty else self.random.choice(("stdout", "stdout", "stderr"))
                )
                more = " " + "x" * 20_000 if self.random.random() < 0.01 else ""
                self.ledger.write(container, self.random.randrange(1, 20), stream=stream, more=more)

    def arrived(self, container: Container) -> bool:
        """Whether all its lines are in the file."""
        return self.ledger.of(container) <= set(messages(self.file))

    def cut_what_hangs(self) -> None:
        """End the streams that send nothing more: the agent doubts them itself, but only after half a minute."""
        for stream in tuple(self.engine.streams):
            if stream.course.hung:
                stream.transport.abort()

    # --- the whole of it

    async def sail(self, seconds: float, deeds: Sequence[Deed]) -> None:
        """Write for so long, while one deed after another is done."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(), name="writing")
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        deed = self.random.choice(deeds)
                        self.log.append(deed.__name__)
                        await deed(self)
                        await asyncio.sleep(self.random.uniform(0.05, 0.6))
            except TimeoutError:
                pass
            finally:
                writing.cancel()

    async def _write(self) -> None:
        while True:
            self.write()
            await asyncio.sleep(0.02)

    async def arrive(self, *, seconds: float = 60.0) -> str:
        """Fair weather again, and every line in all three sinks; what is wrong all the same, for a person."""
        self.engine.faults.clear()
        self.cut_what_hangs()
        self.engine.faults.cut(0, route="events")  # what was missed is found by the next list
        if not self.engine.up:
            await self.engine.come_back()
        for container in self.engine.containers:
            if container.running:
                container.stop()
        with contextlib.suppress(AssertionError):  # the differences say it better
            await until(self._landed, "every line in each sink", seconds=seconds)
        status = await self.agent.end()
        repeats = self.kills * REPEATS_PER_KILL
        wrong = {
            "the exit status": "" if status == 0 else str(status),
            "file": self.ledger.differences(messages(self.file)),
            "tcp": self.ledger.differences(_messages(self.tcp), repeats=repeats),
            "web": self.ledger.differences(_messages(self.web), repeats=repeats),
            "a receiver": "; ".join(map(repr, self.tcp.inbox.faults + self.web.inbox.faults)),
            "the agent says": "\n".join(
                line
                for line in self.agent.said().splitlines()
                if "lost " in line or "fault of Dockferry" in line
            ),
        }
        told = [f"{what}: {text}" for what, text in wrong.items() if text]
        return (
            "\n".join([f"seed {self.seed}, {self.ledger.total} lines", *told, " ".join(self.log)])
            if told
            else ""
        )

    def _landed(self) -> bool:
        return all(map(self.ledger.whole, (messages(self.file), _messages(self.tcp), _messages(self.web))))


def _messages(receiver: TcpReceiver | HttpReceiver) -> list[str]:
    return [record.message for record in receiver.inbox.records]


# --- what may befall


async def streams_are_cut(voyage: Voyage) -> None:
    """Three of them, anywhere in a frame, with and without a reset. A TTY's has no frames: only with one."""
    for _ in range(3):
        after, reset = voyage.random.randrange(5000), voyage.random.random() < 0.5
        if (container := voyage.pick()) is not None:
            voyage.engine.faults.cut(after, reset=reset or container.spec.tty, container=container)


async def requests_are_refused(voyage: Voyage) -> None:
    """By an Engine with troubles of its own, or a container on its way out."""
    status = voyage.random.choice((409, 500, 503))
    routes: tuple[Route, ...] = ("logs", "list", "inspect", "events", "ping")
    voyage.engine.faults.refuse(
        status, "not now", route=voyage.random.choice(routes), count=voyage.random.randrange(1, 6)
    )


async def answers_are_late(voyage: Voyage) -> None:
    """Half a second."""
    voyage.engine.faults.delay(0.5, count=5)


async def subscriptions_are_cut(voyage: Voyage) -> None:
    """At the next byte."""
    voyage.engine.faults.cut(0, route="events")


async def events_are_lost(voyage: Voyage) -> None:
    """A container comes, or comes back, and nobody hears of it; the next subscription has it listed."""
    voyage.engine.faults.lose_events(count=3)
    voyage.launch()
    voyage.engine.faults.cut(0, route="events")


async def health_is_checked(voyage: Voyage) -> None:
    """So often that the Engine remembers nothing else."""
    if (container := voyage.pick()) is not None:
        container.check_health(75)


async def a_follow_hangs_until_it_is_cut(voyage: Voyage) -> None:
    """It sends nothing more, though the container goes on."""
    if (container := voyage.pick()) is not None:
        voyage.engine.faults.hang(container=container)
        await asyncio.sleep(0.3)
        voyage.cut_what_hangs()


async def the_daemon_restarts(voyage: Voyage) -> None:
    """As another version at times; containers run on, or are stopped."""
    live = voyage.random.random() < 0.5
    await voyage.engine.go_down(live_restore=live)
    await asyncio.sleep(voyage.random.uniform(0.1, 0.8))
    api, version = voyage.random.choice((("1.51", "28.5.2"), ("1.44", "25.0.5"), ("1.43", "24.0.9")))
    await voyage.engine.come_back(api_version=api, engine_version=version, live_restore=live)


async def the_clock_is_set(voyage: Voyage) -> None:
    """An hour back, or on again."""
    voyage.clock.step(voyage.random.choice((-_HOUR_S, -_HOUR_S, _HOUR_S, -1.5, 0.5)))


async def a_container_comes(voyage: Voyage) -> None:
    """Or one that ended starts again."""
    container = voyage.pick(running=False)
    if container is None:
        voyage.launch()
    else:
        container.start()


async def a_container_ends(voyage: Voyage) -> None:
    """Well or not; some are then restarted by the Engine."""
    if (container := voyage.pick()) is not None:
        container.finish(exit_code=voyage.random.randrange(2))


async def a_container_restarts(voyage: Voyage) -> None:
    """As `docker restart` does it."""
    if (container := voyage.pick()) is not None:
        container.restart()


async def a_container_is_renamed(voyage: Voyage) -> None:
    """Its lines go on."""
    if (container := voyage.pick()) is not None:
        voyage.made += 1
        container.rename(f"box-{voyage.made}")


async def a_container_is_removed(voyage: Voyage) -> None:
    """One that has ended, and all of whose lines have arrived."""
    container = voyage.pick(running=False)
    if container is not None and voyage.arrived(container):
        container.remove()


async def the_agent_is_killed(voyage: Voyage) -> None:
    """And started again, after 300 events at times."""
    voyage.agent.kill()
    voyage.kills += 1
    if voyage.random.random() < 0.5:
        await health_is_checked(voyage)
    await asyncio.sleep(voyage.random.uniform(0.0, 0.5))
    voyage.agent.launch()


async def a_receiver_hangs_up(voyage: Voyage) -> None:
    """Between two lines or in one: what it has read of it is kept."""
    voyage.tcp.hang_up()


CHURN: Final[Sequence[Deed]] = (
    a_container_comes,
    a_container_ends,
    a_container_restarts,
    a_container_is_renamed,
    a_container_is_removed,
)
ENGINE: Final[Sequence[Deed]] = (
    streams_are_cut,
    requests_are_refused,
    answers_are_late,
    subscriptions_are_cut,
    events_are_lost,
    health_is_checked,
    a_follow_hangs_until_it_is_cut,
    the_daemon_restarts,
    the_clock_is_set,
)
ALL: Final[Sequence[Deed]] = (*CHURN, *ENGINE, the_agent_is_killed)
