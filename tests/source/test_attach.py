"""The attach reader on a simulated Engine: each line once, wherever its live output is joined to its log."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence

import pytest

from agent.batch import NS, Batch
from agent.engine.client import EngineClient
from agent.losses import Cause
from agent.simulator import Container, SimulatedEngine, SteppableClock
from tests.source.attached import until
from tests.source.reading import Kept, Reading

NO_READING = "configured logging driver does not support reading"


@pytest.fixture
def web(engine: SimulatedEngine) -> Container:
    """A container that was made, and does not run yet."""
    return engine.create("web", log_options={"max-size": "10m", "max-file": "3"})


@pytest.fixture
def reading(engine: SimulatedEngine, client: EngineClient, web: Container) -> Reading:
    return Reading(engine, client, web, attach=True)


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %d" % number for number in range(first, last)]


async def attached(web: Container) -> None:
    await until(lambda: bool(web.attached))


async def attached_early(engine: SimulatedEngine, web: Container) -> None:
    """The reader knows, too: it has looked at the container once more."""
    await until(lambda: bool(web.attached) and engine.requests[-1].method == "GET")


async def looked_at(engine: SimulatedEngine, web: Container, *, times: int) -> None:
    def count() -> int:
        return sum(request.path.endswith(f"/{web.id}/json") for request in engine.requests)

    await until(lambda: count() >= times)


async def detached(web: Container) -> None:
    await until(lambda: not web.attached)


async def test_attached_before_the_start_everything_comes_live(reading: Reading, web: Container) -> None:
    async with reading.running():
        await attached(web)
        web.start()
        web.write_many(numbered(0, 5000))
        web.write_many(numbered(0, 50), "stderr")
        assert await reading.lines(5000) == numbered(0, 5000)
        assert await reading.lines(50, "stderr") == numbered(0, 50)
    assert len(set(reading.kept.ids())) == 5050


async def test_attached_in_mid_run_the_log_is_joined_to_what_comes_live(
    reading: Reading, web: Container
) -> None:
    web.start()
    web.write_many(numbered(0, 1000))
    async with reading.running():
        for number in range(1000, 3000):
            web.write(b"line %d\n" % number)
            if number % 10 == 0:
                await asyncio.sleep(0.001)
        assert await reading.lines(3000) == numbered(0, 3000)


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.3])
async def test_equal_lines_in_a_row_are_counted_right(reading: Reading, web: Container, pause: float) -> None:
    web.start()
    web.write_many([b"tick"] * 100)
    async with reading.running():
        for _ in range(100 if pause < 0.1 else 5):
            web.write(b"tick\n")
            await asyncio.sleep(pause)
        count = 200 if pause < 0.1 else 105
        assert await reading.lines(count) == [b"tick"] * count
        web.write(b"end\n")
        assert await reading.lines(count + 1) == [b"tick"] * count + [b"end"]


@pytest.mark.parametrize("seed", range(6))
async def test_killed_again_and_again_nothing_is_lost_or_repeated(
    reading: Reading, web: Container, seed: int
) -> None:
    chance = random.Random(seed)
    web.start()
    sent = {"stdout": 0, "stderr": 0}

    async def write(count: int) -> None:
        for _ in range(count):
            stream = chance.choice(["stdout", "stdout", "stderr"])
            some = chance.randint(1, 50)
            web.write_many(numbered(sent[stream], sent[stream] + some), stream)
            sent[stream] += some
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01]))

    for _ in range(5):
        async with reading.running():
            await write(chance.randint(1, 60))
        await write(chance.randint(0, 10))
    async with reading.running():
        for stream, count in sent.items():
            assert await reading.lines(count, stream) == numbered(0, count)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("seed", range(2))
async def test_cut_at_any_byte_nothing_is_lost_or_repeated(
    engine: SimulatedEngine,
    reading: Reading,
    web: Container,
    seed: int,
    reset: bool,  # noqa: FBT001
) -> None:
    """By a proxy: in the middle of a frame, of a line, while the log is read, again and again."""
    chance = random.Random(seed)
    web.start()
    sent = {"stdout": 0, "stderr": 0}
    async with reading.running():
        for _ in range(60):
            if not chance.randrange(4):
                engine.faults.cut(chance.randrange(400), reset=reset, route="attach")
            stream, some = chance.choice(["stdout", "stdout", "stderr"]), chance.randint(1, 20)
            web.write_many(numbered(sent[stream], sent[stream] + some), stream)
            sent[stream] += some
            await asyncio.sleep(chance.choice([0, 0.001, 0.03]))
        for stream, count in sent.items():
            assert await reading.lines(count, stream) == numbered(0, count)
    assert len(set(reading.kept.ids())) == sum(sent.values())
    assert reading.losses.entries == []


@pytest.mark.parametrize("reset", [False, True])
async def test_a_proxy_s_time_limit_costs_nothing_but_a_little(
    engine: SimulatedEngine,
    reading: Reading,
    web: Container,
    reset: bool,  # noqa: FBT001
) -> None:
    """What is asked of the Engine stays within a few times what was written."""
    web.start()
    web.write_many(numbered(0, 5000))
    engine.faults.cut_every(0.3, reset=reset, route="attach")
    async with reading.running():
        for number in range(5000, 5120):
            web.write(b"line %d\n" % number)
            await asyncio.sleep(0.005)
        assert await reading.lines(5120) == numbered(0, 5120)
    assert reading.losses.entries == []
    assert engine.log_bytes_sent < 5 * 5120 * 50


async def test_a_line_begun_long_before_we_attach_is_whole(reading: Reading, web: Container) -> None:
    """A prompt, say. Live comes only the rest of it."""
    web.start()
    web.write(b"first\nloading ... ")
    async with reading.running():
        await attached(web)
        await asyncio.sleep(0.5)  # until nothing more is expected of the log
        web.write(b"done\n")
        assert await reading.lines(2) == [b"first", b"loading ... done"]
        web.write(b"third\n")
        assert await reading.lines(3) == [b"first", b"loading ... done", b"third"]


async def test_a_megabyte_and_odd_bytes_come_as_they_are(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """Attached in the middle of such a line, too; longer ones are cut and marked."""
    big = bytes(range(32, 127)) * 12_000
    container = engine.create("web", driver="local")  # json-file would keep other bytes
    reading = Reading(engine, client, container, attach=True)
    container.start()
    container.write(big[:500_000])
    async with reading.running():
        await attached(container)
        container.write(big[500_000 : 1 << 20] + b"\n")
        assert await reading.lines(1) == [big[: 1 << 20]]
        container.write(big + b"\n\xff\xfe\r\n\n")
        assert (await reading.lines(4))[1:] == [big[: 1 << 20], b"\xff\xfe\r", b""]
    assert reading.count("truncated_records") == 1


@pytest.mark.parametrize("early", [False, True])
async def test_a_terminal_s_output(
    engine: SimulatedEngine,
    client: EngineClient,
    early: bool,  # noqa: FBT001
) -> None:
    """A raw stream: joined, killed, and its last line without newline."""
    container = engine.create("term", tty=True)
    reading = Reading(engine, client, container, attach=True)
    if not early:
        container.start()
        container.write(b"line 0\nline 1\nli")
    async with reading.running():
        await attached(container)
        if early:
            container.start()
            container.write(b"line 0\nline 1\nli")
        container.write(b"ne 2\nline 3\n")
        assert await reading.lines(4) == numbered(0, 4)
    container.write(b"line 4\n")
    async with reading.running():
        await attached(container)
        container.write(b"line 5\n$ ")
        assert await reading.lines(6) == numbered(0, 6)
        container.finish()
        assert await reading.lines(7) == [*numbered(0, 6), b"$ "]
    assert reading.kept.lines("stderr") == []
    assert reading.losses.entries == []


async def test_what_has_no_newline_at_the_exit_is_a_line(
    client: EngineClient, reading: Reading, web: Container
) -> None:
    """Once, though the next run begins right behind it."""
    web.start()
    async with reading.running() as reader:
        await attached(web)
        web.write(b"first\nrest")
        web.finish()
        assert await reading.lines(2) == [b"first", b"rest"]
        web.start()
        web.write(b"second run\n")
        reader.update(await client.inspect(web.id))
        assert await reading.lines(3) == [b"first", b"rest", b"second run"]
    async with reading.running():
        web.write(b"end\n")
        assert await reading.lines(4) == [b"first", b"rest", b"second run", b"end"]
    assert reading.losses.entries == []


@pytest.mark.parametrize("seed", range(10))
async def test_a_short_life_that_leaves_no_log_comes_whole(
    engine: SimulatedEngine, client: EngineClient, seed: int
) -> None:
    """`docker run --rm`: attached when it is created, it starts, prints and is gone at any moment."""
    chance = random.Random(seed)
    container = engine.create("brief", auto_remove=True)
    engine._removal_seconds = chance.choice([0, 0.001, 0.03])
    engine.faults.delay(chance.choice([0, 0.005]), route="inspect", count=3)
    reading = Reading(engine, client, container, attach=True)
    async with reading.to_its_end():
        await attached_early(engine, container)
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01, 0.1]))
        container.start()
        for number in range(5):
            container.write(b"line %d\n" % number)
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.05]))
        container.write(b"rest")
        container.finish()
    assert reading.kept.lines() == [*numbered(0, 5), b"rest"]
    assert reading.losses.entries == []


async def test_removed_before_its_log_could_be_joined_what_is_lost_is_told(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """What came live is there."""
    container = engine.create("brief", auto_remove=True)
    container.start()
    container.write_many(numbered(0, 10))
    reading = Reading(engine, client, container, attach=True)
    engine.faults.refuse(404, "No such container", route="logs", count=None)
    async with reading.to_its_end():
        await attached(container)
        container.write_many(numbered(10, 20))
        await reading.lines(10)
        container.write_many(numbered(20, 30))
        container.finish()
    assert reading.kept.lines() == numbered(10, 30)
    (loss,) = reading.losses.entries
    assert loss.cause is Cause.REMOVED


async def test_removed_after_its_log_was_read_nothing_comes_twice(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """What had come live was kept for the case that the log would go."""
    container = engine.create("brief")

    class Remover(Kept):
        async def hand_on(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
            await super().hand_on(batches, cursors)
            if self.lines()[-1:] == [b"rest"]:
                container.remove()

    reading = Reading(engine, client, container, attach=True)
    reading.hand_on_to(Remover())
    async with reading.to_its_end():
        await attached_early(engine, container)
        container.start()
        container.write(b"line 0\nrest")
        container.finish()
    assert reading.kept.lines() == [b"line 0", b"rest"]
    assert reading.losses.entries == []


async def test_ended_while_we_look_whether_it_runs_its_lines_are_taken(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """The Engine says that it is gone before we have read what came."""
    container = engine.create("brief", auto_remove=True)
    engine._removal_seconds = 0
    reading = Reading(engine, client, container, attach=True)
    async with reading.to_its_end():
        engine.faults.delay(0.1, route="inspect", count=2)
        await looked_at(engine, container, times=3)
        container.start()
        container.write_many(numbered(0, 10))
        container.finish()
    assert reading.kept.lines() == numbered(0, 10)
    assert reading.losses.entries == []


@pytest.mark.parametrize("seed", range(10))
async def test_attached_too_late_to_what_leaves_no_log_it_comes_whole(
    engine: SimulatedEngine, client: EngineClient, seed: int
) -> None:
    """An Engine that starts a container answers when it runs; its log is asked for meanwhile."""
    chance = random.Random(seed)
    count = chance.choice([0, 1, 5, 1000])
    container = engine.create("brief", auto_remove=True)
    engine._removal_seconds = chance.choice([0, 0.001, 0.03])
    engine.faults.delay(0.05, route="attach")
    reading = Reading(engine, client, container, attach=True)
    async with reading.to_its_end():
        await until(lambda: engine.requests[-1].method == "POST")
        container.start()
        container.write_many(numbered(0, count))
        await attached(container)
        await asyncio.sleep(chance.choice([0, 0, 0.01, 0.1, 0.5]))
        container.write_many(numbered(count, 2 * count))
        container.write(b"rest" if count else b"")
        container.finish()
    assert reading.kept.lines() == [*numbered(0, 2 * count), *([b"rest"] if count else [])]
    assert reading.losses.entries == []


async def test_gone_before_it_was_looked_at_again_its_lines_are_taken(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """Attached before its start; its whole life was shorter than the Engine's next answer."""
    container = engine.create("brief", auto_remove=True)
    engine._removal_seconds = 0
    reading = Reading(engine, client, container, attach=True)
    async with reading.to_its_end():
        engine.faults.delay(0.1, route="inspect", count=1)
        await attached(container)
        container.start()
        container.write_many(numbered(0, 10))
        container.finish()
    assert reading.kept.lines() == numbered(0, 10)


async def test_attached_too_late_without_a_log_it_is_told(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """It started, and printed, while we were about to attach."""
    container = engine.create("quiet", driver="none")
    reading = Reading(engine, client, container, attach=True)
    engine.faults.delay(0.1, route="attach")
    async with reading.running():
        await until(lambda: engine.requests[-1].method == "POST")
        container.start()
        container.write_many(numbered(0, 10))
        await attached_early(engine, container)
        container.write_many(numbered(10, 20))
        assert await reading.lines(10) == numbered(10, 20)
    (loss,) = reading.losses.entries
    assert (loss.cause, loss.first_ns) == (Cause.NO_LOG, container.started_at)


async def test_removed_while_attached_it_comes_to_its_end(reading: Reading, web: Container) -> None:
    """`docker rm -f`: all that it printed is there, and the reader ends."""
    web.start()
    web.write_many(numbered(0, 10))
    async with reading.to_its_end():
        assert await reading.lines(10) == numbered(0, 10)
        web.write_many(numbered(10, 20))
        await reading.lines(20)
        web.write(b"line 20\nrest")
        web.remove()
    assert reading.kept.lines() == [*numbered(0, 21), b"rest"]
    assert reading.losses.entries == []


@pytest.mark.parametrize("state", ["paused", "restarting"])
async def test_a_container_that_cannot_be_attached_to_yet_is_waited_for(
    engine: SimulatedEngine, client: EngineClient, state: str
) -> None:
    """Its log is read meanwhile; the requests are bounded."""
    container = engine.create("web", restart_policy="always")
    container.start()
    container.write_many(numbered(0, 10), at=engine.now() - 5 * NS)
    container.started_at -= 10 * NS
    container.pause() if state == "paused" else container.finish(1)
    reading = Reading(engine, client, container, attach=True)
    async with reading.running() as reader:
        assert await reading.lines(10) == numbered(0, 10)
        before = len(engine.requests)
        await asyncio.sleep(1)  # nothing is to happen: there is nothing else to wait for
        assert len(engine.requests) - before < 30
        container.unpause() if state == "paused" else container.start()
        container.write_many(numbered(10, 20))
        reader.update(await client.inspect(container.id))
        assert await reading.lines(20) == numbered(0, 20)
        await attached(container)
        container.write_many(numbered(20, 30))
        assert await reading.lines(30) == numbered(0, 30)
    assert reading.losses.entries == []


async def test_a_restart_loop_is_not_joined(engine: SimulatedEngine, client: EngineClient) -> None:
    """Every run is read, and the requests are bounded by the runs."""
    container = engine.create("loop", restart_policy="always")
    container.start()
    reading, runs = Reading(engine, client, container, attach=True), 12
    async with reading.running() as reader:
        for run in range(runs):
            container.write(b"run %d\n" % run)
            await asyncio.sleep(0.01)
            container.finish(1)
            await asyncio.sleep(0.05)
            container.start()
            reader.update(await client.inspect(container.id))
        assert await reading.lines(runs) == [b"run %d" % run for run in range(runs)]
    assert len(engine.requests) <= 20 * runs
    assert reading.losses.entries == []


async def test_without_a_log_the_first_lines_after_a_restart_come(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """It is attached to while it does not run. Nothing is lost, and nothing said to be."""
    container = engine.create("quiet", driver="none")
    reading = Reading(engine, client, container, attach=True)
    async with reading.running():
        for run in range(3):
            await attached_early(engine, container)
            container.start()
            container.write_many(numbered(10 * run, 10 * run + 9))
            container.write(b"line %d" % (10 * run + 9))
            container.finish()
            assert await reading.lines(10 * run + 10) == numbered(0, 10 * run + 10)
    assert reading.losses.entries == []


async def test_without_a_log_what_came_while_we_were_away_is_told(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """Once, for the time since the last line; cut off, and after a restart of ours."""
    container = engine.create("quiet", driver="none")
    reading = Reading(engine, client, container, attach=True)
    async with reading.running():
        await attached_early(engine, container)
        container.start()
        container.write_many(numbered(0, 10))
        await reading.lines(10)
        assert reading.losses.entries == []
        last = reading.kept.batches[-1].timestamps[-1]
        engine.faults.cut(route="attach")
        await detached(container)
        container.write_many(numbered(10, 20))
        await attached(container)
        container.write_many(numbered(20, 30))
        assert await reading.lines(20) == [*numbered(0, 10), *numbered(20, 30)]
        (loss,) = reading.losses.entries
        assert (loss.cause, loss.first_ns) == (Cause.NO_LOG, last)
        assert loss.first_ns < loss.last_ns <= engine.now()
    container.write_many(numbered(30, 40))
    container.finish()
    async with reading.running():
        await until(lambda: len(reading.losses.entries) == 2)
        container.start()
        container.write_many(numbered(40, 50))
        await reading.lines(30)
    async with reading.running() as reader:
        await until(lambda: len(reading.losses.entries) == 3)
        container.finish()
        await until(lambda: reader.cursor.ended)
    async with reading.running():
        await attached_early(engine, container)
        container.start()
        container.write_many(numbered(50, 60))
        assert (await reading.lines(40))[-10:] == numbered(50, 60)
    assert len(reading.losses.entries) == 3


async def test_a_log_that_cannot_be_read_is_not_needed(engine: SimulatedEngine, client: EngineClient) -> None:
    """Which shows only when it is asked for: attached before the start, in mid-run, after a cut, at the end."""
    engine.faults.refuse(501, NO_READING, route="logs", count=None)
    container = engine.create("remote", driver="gelf")
    reading = Reading(engine, client, container, attach=True)
    async with reading.running():
        await attached_early(engine, container)
        container.start()
        container.write_many(numbered(0, 10))
        assert await reading.lines(10) == numbered(0, 10)
        await asyncio.sleep(0.5)  # it is idle, and looked after
        container.write_many(numbered(10, 20))
        assert await reading.lines(20) == numbered(0, 20)
        assert reading.losses.entries == []
        engine.faults.cut(route="attach")
        await detached(container)
        await attached(container)
        container.write_many(numbered(20, 30))
        await reading.lines(30)
        assert [loss.cause for loss in reading.losses.entries] == [Cause.NO_LOG]
        container.write(b"rest")
        container.finish()
        assert await reading.lines(31) == [*numbered(0, 30), b"rest"]
    assert len(reading.losses.entries) == 1


async def test_an_attached_container_that_is_quiet_is_left_alone(
    engine: SimulatedEngine, reading: Reading, web: Container, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither hung nor attached to anew: just started, and long after its last line."""
    web.start()
    web.write(b"line 0\n")
    async with reading.running():
        assert await reading.lines(1) == numbered(0, 1)
        await asyncio.sleep(1.2)  # nothing is to happen: there is nothing else to wait for
        web.write(b"line 1\n")
        assert await reading.lines(2) == numbered(0, 2)
    assert caplog.messages == []
    assert [request.path for request in engine.requests if request.method == "POST"][1:] == []


@pytest.mark.parametrize("when", ["away", "attached", "joining"])
async def test_a_clock_set_back_drops_nothing(
    reading: Reading, web: Container, clock: SteppableClock, when: str
) -> None:
    """Nor does anything wait for an hour."""
    web.start()
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
        if when == "attached":
            clock.step(-3600)
            web.write_many(numbered(10, 20))
            await reading.lines(20)
    if when != "attached":
        if when == "away":
            clock.step(-3600)
        web.write_many(numbered(10, 20))
    async with reading.running():
        await attached(web)
        if when == "joining":
            clock.step(-3600)
        web.write_many(numbered(20, 30))
        assert await reading.lines(30) == numbered(0, 30)
        web.write_many(numbered(30, 40), "stderr")
        assert await reading.lines(10, "stderr") == numbered(30, 40)
    async with reading.running():
        web.write(b"line 30\n")
        assert await reading.lines(31) == numbered(0, 31)
    assert reading.losses.entries == []


async def test_a_loop_that_hung_lets_go_and_catches_up(
    engine: SimulatedEngine, client: EngineClient, web: Container
) -> None:
    """What came before and meanwhile is there, once."""
    reading = Reading(engine, client, web, attach=True, stall_limit_s=0.2)
    web.start()
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
        time.sleep(0.5)  # noqa: ASYNC251 - this is what is tested
        web.write_many(numbered(10, 20))
        assert await reading.lines(20) == numbered(0, 20)
        await attached(web)
        web.write_many(numbered(20, 30))
        assert await reading.lines(30) == numbered(0, 30)
    assert reading.count("stream_errors") == 1
    assert reading.losses.entries == []


class Gate(Kept):
    """A spool that is full: nobody gets through while it is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def hand_on(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        await self.open.wait()
        await super().hand_on(batches, cursors)


@pytest.mark.parametrize("rate", [10, 500])
async def test_a_full_spool_holds_no_container(
    engine: SimulatedEngine, client: EngineClient, web: Container, rate: int
) -> None:
    """It is detached within the limit, and caught up with later; or, if what it writes has room, not even that."""
    limit_s = 0.4
    reading = Reading(engine, client, web, attach=True, stall_limit_s=limit_s, room_bytes=1 << 20)
    gate = Gate()
    gate.open.set()
    reading.hand_on_to(gate)
    web.start()
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
        gate.open.clear()
        for number in range(100):
            web.write_many(numbered(10 + number * rate, 10 + number * rate + rate))
            await asyncio.sleep(0.01)
        assert bool(web.attached) == (rate == 10)
        gate.open.set()
        assert await reading.lines(10 + 100 * rate) == numbered(0, 10 + 100 * rate)
        await attached(web)
        web.write(b"end\n")
        assert (await reading.lines(11 + 100 * rate))[-1:] == [b"end"]
    assert reading.room.waiting == 0
    assert reading.losses.entries == []


@pytest.mark.parametrize("equal", [False, True])
async def test_a_mark_rotated_away_while_we_were_down(
    reading: Reading,
    web: Container,
    equal: bool,  # noqa: FBT001
) -> None:
    """If lines are gone that were not taken, it is told, once; what was taken never comes again."""
    web.start()
    async with reading.running():
        await attached(web)
        web.write_many(numbered(0, 100))
        web.write_many(numbered(0, 10), "stderr")
        await reading.lines(100)
        await reading.lines(10, "stderr")
    web.write_many([b"tick"] * 20 if equal else numbered(100, 120))
    web.truncate_log(25)  # the last that was taken is still there
    async with reading.running():
        lines = await reading.lines(120)
        assert lines == [*numbered(0, 100), *([b"tick"] * 20 if equal else numbered(100, 120))]
        assert reading.kept.lines("stderr") == numbered(0, 10)
        assert reading.losses.entries == []
        web.write_many(numbered(0, 20))
        await reading.lines(140)
    last = reading.kept.batches[-1].timestamps[-1]
    web.write_many(numbered(200, 300))
    web.truncate_log(50)
    async with reading.running():
        assert (await reading.lines(190))[140:] == numbered(250, 300)
        await attached(web)
        web.write(b"end\n")
        assert (await reading.lines(191))[190:] == [b"end"]
    assert reading.kept.lines("stderr") == numbered(0, 10)
    (loss,) = reading.losses.entries
    assert (loss.cause, loss.first_ns) == (Cause.ROTATED, last)


async def test_rotated_away_while_attached_it_came_live(reading: Reading, web: Container) -> None:
    """The log is not needed for it."""
    web.start()
    web.write_many(numbered(0, 100))
    async with reading.running():
        await reading.lines(100)
        await attached(web)
        for block in range(1, 21):
            web.write_many(numbered(block * 100, block * 100 + 100))
            await asyncio.sleep(0.1 if block == 1 else 0.01)
            web.truncate_log(10)
        assert await reading.lines(2100) == numbered(0, 2100)
        web.write_many(numbered(0, 10), "stderr")
        assert await reading.lines(10, "stderr") == numbered(0, 10)
    assert reading.losses.entries == []


async def test_what_rotates_away_before_it_could_be_joined_came_live(
    reading: Reading, web: Container
) -> None:
    """Then it comes in another order, and what may have been before it is told as lost."""
    web.start()
    async with reading.running():
        await attached(web)
        for block in range(20):
            web.write_many(numbered(block * 100, block * 100 + 100))
            web.truncate_log(10)
            await asyncio.sleep(0.01)
        assert sorted(await reading.lines(2000)) == sorted(numbered(0, 2000))
    assert [loss.cause for loss in reading.losses.entries] == [Cause.ROTATED]


@pytest.mark.parametrize("killed", [False, True])
async def test_equal_lines_are_counted_over_a_kill(
    engine: SimulatedEngine,
    reading: Reading,
    web: Container,
    killed: bool,  # noqa: FBT001
) -> None:
    """Before, live, while we were down, and after."""
    web.start()
    web.write_many([b"tick"] * 7)
    async with reading.running():
        await reading.lines(7)
        web.write_many([b"tick"] * 5)
        await reading.lines(12)
        if not killed:
            engine.faults.cut(route="attach")
            await detached(web)
            web.write_many([b"tick"] * 30)
            await reading.lines(42)
    if killed:
        web.write_many([b"tick"] * 30)
    async with reading.running():
        web.write(b"end\n")
        assert await reading.lines(43) == [b"tick"] * 42 + [b"end"]
    assert len(set(reading.kept.ids())) == 43


@pytest.mark.parametrize("runs", [True, False])
async def test_behind_a_hole_in_the_log_it_goes_on(
    reading: Reading,
    web: Container,
    clock: SteppableClock,
    runs: bool,  # noqa: FBT001
) -> None:
    """The hole is reported with its range; what stands behind it comes, and what comes live."""
    web.start()
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
    clock.step(5)  # so far behind, the log is read before we attach
    web.damage_log()
    web.write_many(numbered(10, 20))
    if not runs:
        web.finish()
    clock.step(5)
    async with reading.running():
        assert await reading.lines(20) == numbered(0, 20)
        if runs:
            web.write_many(numbered(20, 30))
            assert await reading.lines(30) == numbered(0, 30)
    (loss,) = reading.losses.entries
    assert loss.cause is Cause.DAMAGED
