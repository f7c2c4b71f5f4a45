"""Which way each container is read: as asked, or as is possible, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import pytest

from agent.batch import Container as Description
from agent.engine.changes import Appeared, EngineBack, Started
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts
from agent.losses import Cause
from agent.simulator import Container, SimulatedEngine
from agent.source.attach import Attaching
from agent.source.readers import Readers, has_no_lasting_log
from tests.source.attached import until
from tests.source.reading import DEADLINE_S, Reading

NO_READING = "configured logging driver does not support reading"


class House:
    """The readers of an Engine's containers, all that each has handed on in one place."""

    def __init__(self, engine: SimulatedEngine, client: EngineClient) -> None:
        self.client = client
        self.reading = Reading(engine, client, engine.create("other"))
        self.forgotten: list[str] = []

    @contextlib.asynccontextmanager
    async def open(self, source: str) -> AsyncIterator[Readers]:
        reading = self.reading
        async with asyncio.timeout(DEADLINE_S), reading.watchdog.beating(), asyncio.TaskGroup() as tasks:
            yield Readers(
                reading._around,
                tasks,
                describe=_describe,
                cursors={},
                forget=self._forget,
                supervise=_run,
                source=lambda _facts: source,
                attaching=Attaching(reading.watchdog, reading.room),
            )
            for task in list(tasks._tasks):
                task.cancel()

    async def appear(self, readers: Readers, container: Container) -> None:
        await readers.apply(Appeared(await self.client.inspect(container.id)))

    async def _forget(self, ids: Collection[str]) -> None:
        self.forgotten += ids


def _describe(facts: ContainerFacts) -> Description:
    return Description(facts.id, facts.name, facts.image, facts.name, "host")


async def _run(_part: str, run: Callable[[], Awaitable[None]]) -> None:
    await run()


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %d" % number for number in range(first, last)]


@pytest.fixture
def house(engine: SimulatedEngine, client: EngineClient) -> House:
    return House(engine, client)


async def test_where_attaching_is_forbidden_logs_are_read_and_it_is_said_once(
    engine: SimulatedEngine, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """By a proxy that lets no POST through; whatever the containers are, and however many."""
    engine.faults.forbid_post()
    containers = [engine.create(f"web{number}") for number in range(3)]
    containers[0].start()
    containers[0].write_many(numbered(0, 10))
    async with house.open("attach") as readers:
        for container in containers:
            await house.appear(readers, container)
        assert await house.reading.lines(10) == numbered(0, 10)
        containers[0].write_many(numbered(10, 20))
        assert await house.reading.lines(20) == numbered(0, 20)
    said = [message for message in caplog.messages if "attaching is refused" in message]
    assert said == ["attaching is refused (Forbidden): containers are read by their logs instead"]
    assert house.reading.losses.entries == []


async def test_forbidden_in_mid_run_the_log_goes_on_where_live_output_ended(
    engine: SimulatedEngine, house: House
) -> None:
    """The rules of a proxy change: nothing is lost or comes twice."""
    web = engine.create("web")
    async with house.open("attach") as readers:
        await house.appear(readers, web)
        await until(lambda: bool(web.attached))
        web.start()
        web.write_many(numbered(0, 10))
        assert await house.reading.lines(10) == numbered(0, 10)
        engine.faults.forbid_post()
        engine.faults.cut(route="attach")
        await until(lambda: not web.attached)
        web.write_many(numbered(10, 20))
        assert await house.reading.lines(20) == numbered(0, 20)
        web.write_many(numbered(20, 30))
        assert await house.reading.lines(30) == numbered(0, 30)
    assert len(set(house.reading.kept.ids())) == 30


async def test_when_the_engine_is_back_attaching_is_tried_again(
    engine: SimulatedEngine, client: EngineClient, house: House
) -> None:
    """For containers that come then: the proxy may be another."""
    engine.faults.forbid_post()
    first, second = engine.create("first"), engine.create("second")
    async with house.open("attach") as readers:
        await house.appear(readers, first)
        first.start()
        first.write_many(numbered(0, 10))
        await readers.apply(Started(await client.inspect(first.id)))
        await house.reading.lines(10)
        engine.faults.clear()
        await readers.apply(EngineBack(client.version))
        await house.appear(readers, second)
        await until(lambda: bool(second.attached))
        assert not first.attached


async def test_what_keeps_no_log_is_attached_to_by_itself(
    engine: SimulatedEngine, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """With `auto`: driver `none` at once, another when its log is refused. What was before is told as lost."""
    quiet, remote = engine.create("quiet", driver="none"), engine.create("remote", driver="gelf")
    engine.faults.refuse(501, NO_READING, route="logs", container=remote, count=None)
    remote.start()
    remote.write_many(numbered(0, 10))
    async with house.open("auto") as readers:
        await house.appear(readers, quiet)
        await house.appear(readers, remote)
        await until(lambda: bool(quiet.attached and remote.attached))
        await until(lambda: [loss.cause for loss in house.reading.losses.entries] == [Cause.NO_LOG])
        remote.write_many(numbered(10, 20))
        assert await house.reading.lines(10) == numbered(10, 20)
        quiet.start()
        quiet.write_many(numbered(20, 30))
        assert await house.reading.lines(20) == numbered(10, 30)
    assert not [message for message in caplog.messages if "cannot be read" in message]


async def test_what_takes_its_log_with_it_is_attached_to_by_itself(
    engine: SimulatedEngine, house: House
) -> None:
    """With `auto`: `docker run --rm`, printing to its very end."""
    brief, other = engine.create("brief", auto_remove=True), engine.create("web")
    async with house.open("auto") as readers:
        await house.appear(readers, brief)
        await house.appear(readers, other)
        await until(lambda: bool(brief.attached) and engine.requests[-1].method == "GET")
        assert not other.attached
        brief.start()
        brief.write_many(numbered(0, 10))
        brief.finish()
        await until(lambda: house.forgotten == [brief.id])
    assert house.reading.kept.lines() == numbered(0, 10)
    assert house.reading.losses.entries == []


async def test_what_keeps_no_log_is_not_attached_to_where_logs_are_asked_for(
    engine: SimulatedEngine, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, with the reason."""
    quiet = engine.create("quiet", driver="none")
    quiet.start()
    async with house.open("logs") as readers:
        await house.appear(readers, quiet)
        await until(lambda: house.forgotten == [quiet.id])
        assert not quiet.attached
    assert caplog.messages == [f"container quiet cannot be read: {NO_READING}"]


@pytest.mark.parametrize(
    ("facts", "live"),
    [
        (ContainerFacts("1", "web"), False),
        (ContainerFacts("1", "mute", driver="none"), True),
        (ContainerFacts("1", "job", auto_remove=True), True),
        (ContainerFacts("1", "gone", auto_remove=True, partial=True), False),
    ],
    ids=["web", "none", "rm", "gone"],
)
def test_auto_reads_live_what_keeps_no_log(facts: ContainerFacts, live: bool) -> None:  # noqa: FBT001
    assert has_no_lasting_log(facts) is live
