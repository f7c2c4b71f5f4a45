"""The logs reader on a simulated Engine: each line once, whatever the Engine, the network and the clock do."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from agent.batch import NS
from agent.engine.client import EngineClient
from agent.engine.endpoint import resolve
from agent.losses import Cause
from agent.simulator import Container, SimulatedEngine, SteppableClock
from agent.source.reader import Unreadable
from tests.source.reading import DEADLINE_S, Reading

KiB = 1024


@pytest.fixture
def web(engine: SimulatedEngine) -> Container:
    """A container that runs."""
    container = engine.create("web", log_options={"max-size": "10m", "max-file": "3"})
    container.start()
    return container


@pytest.fixture
def reading(engine: SimulatedEngine, client: EngineClient, web: Container) -> Reading:
    return Reading(engine, client, web)


@contextlib.asynccontextmanager
async def connected(engine: SimulatedEngine) -> AsyncIterator[EngineClient]:
    """A client of an Engine that is no fixture."""
    async with EngineClient(resolve({"DOCKER_HOST": engine.docker_host}), docker={}) as client:
        await client.connect()
        yield client


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %d" % number for number in range(first, last)]


async def test_two_streams_at_full_speed_come_whole(reading: Reading, web: Container) -> None:
    """Times go back between the two; nothing is left out for its time."""
    async with reading.running():
        now = 1_790_000_000 * NS
        for block in range(50):
            web.write_many(numbered(block * 100, block * 100 + 100), "stdout", at=now + block * 1000)
            web.write_many(numbered(block * 100, block * 100 + 100), "stderr", at=now + block * 1000 - 500)
            await asyncio.sleep(0)
        assert await reading.lines(5000, "stdout") == numbered(0, 5000)
        assert await reading.lines(5000, "stderr") == numbered(0, 5000)
    assert len(set(reading.kept.ids())) == 10_000


@pytest.mark.parametrize("killed", [False, True])
async def test_a_clock_set_back_drops_nothing(
    reading: Reading,
    web: Container,
    clock: SteppableClock,
    killed: bool,  # noqa: FBT001
) -> None:
    """Neither while it is followed nor over a restart of ours."""
    async with reading.running():
        web.write(b"before\n")
        await reading.lines(1)
        if not killed:
            clock.step(-3600)
            web.write(b"after\n")
            await reading.lines(2)
    if killed:
        clock.step(-3600)
        web.write(b"after\n")
    async with reading.running():
        web.write(b"later\n")
        assert await reading.lines(3) == [b"before", b"after", b"later"]
    assert reading.losses.entries == []


async def test_equal_lines_at_the_mark_s_time_are_counted(reading: Reading, web: Container) -> None:
    """Killed between any two of them: neither lost nor doubled, and each has its own id."""
    at = 1_790_000_000 * NS
    for number in range(1, 6):
        web.write(b"same\n", at=at)
        web.write(b"same\n", "stderr", at=at)
        async with reading.running():
            await reading.lines(number, "stdout")
            await reading.lines(number, "stderr")
    async with reading.running():
        web.write(b"end\n", at=at + 1)
        assert await reading.lines(6) == [b"same"] * 5 + [b"end"]
    assert reading.kept.lines("stderr") == [b"same"] * 5
    assert len(set(reading.kept.ids())) == 11


@pytest.mark.parametrize("reset", [False, True])
async def test_a_stream_that_is_cut_again_and_again_costs_nothing_but_a_little(
    engine: SimulatedEngine,
    reading: Reading,
    web: Container,
    reset: bool,  # noqa: FBT001
) -> None:
    """The count is exact; what is asked of the Engine stays within a few times what was written."""
    history = numbered(0, 20_000)
    web.write_many(history)
    async with reading.running():
        await reading.lines(len(history))
        engine.faults.cut_every(0.15, reset=reset, route="logs")
        for number in range(200):
            web.write(b"live %d\n" % number)
            await asyncio.sleep(0.005)
        assert await reading.lines(20_200) == history + [b"live %d" % number for number in range(200)]
    assert reading.losses.entries == []
    assert engine.log_bytes_sent < 5 * 20_200 * 50


async def test_a_restart_loop_is_not_joined(engine: SimulatedEngine, client: EngineClient) -> None:
    """Every run is read, and the requests are bounded by the runs."""
    container = engine.create("loop", restart_policy="always")
    container.start()
    reading, runs = Reading(engine, client, container), 20
    async with reading.running() as reader:
        for run in range(runs):
            container.write(b"run %d\n" % run)
            await asyncio.sleep(0.01)
            container.finish(1)
            await asyncio.sleep(0.05)
            container.start()
            reader.update(await client.inspect(container.id))
        assert await reading.lines(runs) == [b"run %d" % run for run in range(runs)]
        before = len(engine.requests)
        container.finish(1)
        await asyncio.sleep(1)  # it waits to be restarted: nothing to wait for but time
        assert len(engine.requests) - before <= 10
    assert before <= 15 * runs


async def test_the_engine_s_error_is_no_log_line(
    engine: SimulatedEngine, reading: Reading, web: Container
) -> None:
    """A frame of type 3 ends the stream; we say so once, and go on."""
    engine.faults.report_error("invalid character", after=2)
    web.write_many(numbered(0, 5))
    async with reading.running():
        assert await reading.lines(5) == numbered(0, 5)
    assert reading.count("stream_errors") == 1


async def test_nor_is_it_in_a_tty_s_stream(engine: SimulatedEngine, client: EngineClient) -> None:
    """Where it is bare text."""
    container = engine.create("term", tty=True)
    container.start()
    reading = Reading(engine, client, container)
    engine.faults.report_error("invalid character", after=2)
    container.write(b"line 0\nline 1\nline 2\n")
    async with reading.running():
        assert await reading.lines(3) == numbered(0, 3)
    assert reading.count("stream_errors") == 1


@pytest.mark.parametrize(
    ("release", "driver"), [("28.5.2", "json-file"), ("28.5.2", "local"), ("20.10.24", "local")]
)
async def test_long_lines_are_whole_with_the_other_stream_between(
    socket_path: str, release: str, driver: str
) -> None:
    """Of exactly one and two pieces, 40 KiB, a megabyte; 3 MB are cut and marked."""
    sizes = [16 * KiB - 1, 16 * KiB, 16 * KiB + 1, 32 * KiB, 40_000, 1 << 20, 3_000_000]
    api = "1.41" if release.startswith("20") else "1.51"
    async with SimulatedEngine(socket_path, engine_version=release, api_version=api) as engine:
        container = engine.create("web", driver=driver)
        container.start()
        async with connected(engine) as client:
            reading = Reading(engine, client, container)
            async with reading.running():
                for number, size in enumerate(sizes):
                    text = b"%c" % (97 + number) * size
                    container.write(text[: size // 2])
                    container.write(b"between %d\n" % number, "stderr")
                    container.write(text[size // 2 :] + b"\n")
                container.write(b"end\n")
                lines = await reading.lines(len(sizes) + 1)
                await reading.lines(len(sizes), "stderr")
    assert [len(line) for line in lines] == [*sizes[:-1], 1 << 20, 3]
    assert [line[:1] for line in lines] == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"e"]
    assert reading.count("truncated_records") == 1


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("size", [5, 16 * KiB, 32 * KiB])
async def test_what_has_no_newline_at_the_exit_is_a_line(
    engine: SimulatedEngine,
    client: EngineClient,
    tty: bool,  # noqa: FBT001
    size: int,
) -> None:
    """Once, though the next run begins right behind it."""
    container = engine.create("web", tty=tty)
    container.start()
    reading = Reading(engine, client, container)
    async with reading.running() as reader:
        container.write(b"first\n" + b"x" * size)
        container.finish()
        assert await reading.lines(2) == [b"first", b"x" * size]
        container.start()
        container.write(b"second run\n")
        reader.update(await client.inspect(container.id))
        await reading.lines(3)
    async with reading.running():
        container.write(b"end\n")
        assert await reading.lines(4) == [b"first", b"x" * size, b"second run", b"end"]
    assert reading.losses.entries == []


@pytest.mark.parametrize("runs", [True, False])
async def test_behind_a_hole_in_the_file_it_goes_on(
    engine: SimulatedEngine,
    reading: Reading,
    web: Container,
    runs: bool,  # noqa: FBT001
) -> None:
    """Where a read by time ends at the damage: from the end, and the hole is reported with its range."""
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
    first = reading.kept.batches[-1].timestamps[-1]
    web.damage_log()
    web.write_many(numbered(10, 20))
    if not runs:
        web.finish()
    async with reading.running():
        assert await reading.lines(20) == numbered(0, 20)
        if runs:
            web.write_many(numbered(20, 30))
            assert await reading.lines(30) == numbered(0, 30)
    async with reading.running():  # now the mark stands behind it
        if runs:
            web.write_many(numbered(30, 35))
            assert await reading.lines(35) == numbered(0, 35)
    assert len(set(reading.kept.ids())) == len(reading.kept.lines())
    (loss,) = reading.losses.entries
    assert (loss.cause, loss.first_ns) == (Cause.DAMAGED, first)
    assert loss.first_ns < loss.last_ns <= engine.now()


async def test_a_mark_behind_the_hole_is_found_from_the_end(reading: Reading, web: Container) -> None:
    """Then nothing is missing: `since` gives nothing, `tail` does."""
    web.damage_log()
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
    web.write_many(numbered(10, 20))
    async with reading.running():
        assert await reading.lines(20) == numbered(0, 20)
    assert reading.losses.entries == []


async def test_a_follow_that_hangs_is_opened_anew(
    engine: SimulatedEngine, client: EngineClient, web: Container
) -> None:
    """Once the file has more than the stream showed (moby #45728)."""
    reading = Reading(engine, client, web, idle_s=0.05)
    async with reading.running():
        web.write(b"line 0\n")
        await reading.lines(1)
        engine.faults.hang(container=web)
        web.write_many(numbered(1, 5))
        assert await reading.lines(5) == numbered(0, 5)


async def test_a_quiet_container_is_not_opened_anew(
    engine: SimulatedEngine, client: EngineClient, web: Container
) -> None:
    """It is looked at, more and more seldom."""
    reading = Reading(engine, client, web, idle_s=0.05)
    async with reading.running():
        web.write(b"line 0\n")
        await reading.lines(1)
        before = len(engine.requests)
        await asyncio.sleep(0.5)  # nothing is to happen
        asked = engine.requests[before:]
    assert all(request.query.get("follow") != "1" for request in asked[1:])
    assert len(asked) <= 6


async def test_what_rotated_away_while_we_were_gone_is_reported(
    engine: SimulatedEngine, reading: Reading, web: Container
) -> None:
    """With the range of its times; what is still there comes."""
    async with reading.running():
        web.write_many(numbered(0, 10))
        await reading.lines(10)
    first = reading.kept.batches[-1].timestamps[-1]
    web.write_many(numbered(10, 30))
    web.truncate_log(5)
    async with reading.running():
        web.write(b"end\n")
        assert await reading.lines(16) == [*numbered(0, 10), *numbered(25, 30), b"end"]
    (loss,) = reading.losses.entries
    assert (loss.cause, loss.first_ns) == (Cause.ROTATED, first)
    assert loss.last_ns == next(b.timestamps[0] for b in reading.kept.batches if b.messages[0] == b"line 25")


@pytest.mark.parametrize("refused", [0, 1])
async def test_a_file_that_the_follower_skipped_is_read_all_the_same(
    engine: SimulatedEngine, client: EngineClient, clock: SteppableClock, refused: int
) -> None:
    """The jump in the times tells; a read without follow has what was left out, if need be at the second try."""
    container = engine.create("web", log_options={"max-size": "1m", "max-file": "5"})
    container.start()
    reading, now = Reading(engine, client, container), engine.now() - 60 * NS
    text = b"x" * 200
    async with reading.running():
        for block in range(4):  # fast: 260 bytes a microsecond
            container.write_many([text] * 2000, at=now + block * 2000)
            await reading.lines(2000 * (block + 1))
        engine.faults.skip(10_000, container=container)
        if refused:
            engine.faults.refuse(409, route="logs", count=refused)
        container.write_many([text] * 10_000, at=now + 8000)
        container.write_many([b"behind"] * 10, at=now + 18_000)
        lines = await reading.lines(18_010)
    assert lines == [text] * 18_000 + [b"behind"] * 10
    assert len(set(reading.kept.ids())) == 18_010
    assert reading.losses.entries == []


@pytest.mark.parametrize("records", [1, 500])
async def test_repeats_of_old_engines_are_taken_out(socket_path: str, records: int) -> None:
    """One record at a rotation, or a whole file (20.10)."""
    async with SimulatedEngine(socket_path, engine_version="20.10.24", api_version="1.41") as engine:
        container = engine.create("web", log_options={"max-size": "1m"})
        container.start()
        async with connected(engine) as client:
            reading = Reading(engine, client, container)
            async with reading.running():
                container.write_many(numbered(0, 500))
                await reading.lines(500)
                for rotation in range(1, 4):
                    engine.faults.repeat(records, after=records, container=container)
                    container.write_many(numbered(rotation * 500, rotation * 500 + 500))
                    await reading.lines(500 * (rotation + 1))
                container.write(b"end\n")
                assert await reading.lines(2001) == [*numbered(0, 2000), b"end"]
            assert reading.count("repeats_removed_records") == 3 * records


async def test_a_prompt_is_found_again_though_its_line_has_not_ended(socket_path: str) -> None:
    """Of a terminal on an Engine before 24, which is asked for two seconds more: they are not read again."""
    async with SimulatedEngine(socket_path, engine_version="20.10.24", api_version="1.41") as engine:
        container = engine.create("term", tty=True)
        container.start()
        container.write(b"line 0\nline 1\nprompt> ")
        container.finish()
        async with connected(engine) as client:
            reading = Reading(engine, client, container)
            async with reading.running():
                assert await reading.lines(3) == [*numbered(0, 2), b"prompt> "]
            container.start()
            before = len(engine.requests)
            async with reading.running():
                while all(  # noqa: ASYNC110 - nobody tells that it has caught up
                    request.query.get("follow") != "1" for request in engine.requests[before:]
                ):
                    await asyncio.sleep(0.01)
                assert reading.kept.lines() == [*numbered(0, 2), b"prompt> "]
                container.write(b"line 2\n")
                assert await reading.lines(4) == [*numbered(0, 2), b"prompt> ", b"line 2"]
            assert reading.losses.entries == []


@pytest.mark.parametrize("status", [500, 503])
async def test_an_engine_in_trouble_is_asked_again(
    engine: SimulatedEngine, reading: Reading, web: Container, status: int
) -> None:
    """And counted."""
    engine.faults.refuse(status, route="logs", count=2)
    web.write(b"line 0\n")
    async with reading.running():
        assert await reading.lines(1) == [b"line 0"]
    assert reading.count("stream_errors") == 2


@pytest.mark.parametrize("status", [404, 409])
async def test_refused_for_a_moment_it_is_not_gone(
    engine: SimulatedEngine, reading: Reading, web: Container, status: int
) -> None:
    """Whether a container is there, its state tells."""
    engine.faults.refuse(status, route="logs", count=1)
    web.write(b"line 0\n")
    async with reading.running():
        assert await reading.lines(1) == [b"line 0"]


async def test_a_driver_that_cannot_be_read_ends_the_reader(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """501: whether there is another way is for others to know."""
    container = engine.create("mute", driver="none")
    container.start()
    reader = await Reading(engine, client, container).reader()
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(Unreadable, match="configured logging driver does not support reading"):
            await reader.run()


async def test_a_container_that_lives_for_milliseconds_is_read(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """With `--rm`: who follows from its start gets all, and the reader ends."""
    container = engine.create("brief", auto_remove=True)
    container.start()
    reading = Reading(engine, client, container)
    reader = await reading.reader()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run(), name="reader")
        while not engine.streams:  # noqa: ASYNC110 - nobody tells when a stream is open
            await asyncio.sleep(0.001)
        container.write_many(numbered(0, 3000))
        container.write(b"unfinished")
        container.finish()
    assert reading.kept.lines() == [*numbered(0, 3000), b"unfinished"]


async def test_removed_while_it_is_read_it_is_read_to_its_end(reading: Reading, web: Container) -> None:
    """An open stream gets the rest; then the reader ends."""
    web.write_many(numbered(0, 5000))
    reader = await reading.reader()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run(), name="reader")
        await reading.lines(1)
        web.write_many(numbered(5000, 6000))
        web.remove()
    assert reading.kept.lines() == numbered(0, 6000)


async def test_killed_at_any_moment_it_goes_on_where_the_kept_batches_end(
    engine: SimulatedEngine, reading: Reading, web: Container
) -> None:
    """Cut in mid-frame besides, with long lines and both streams."""
    chance = random.Random(20)
    written: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    for _ in range(25):
        engine.faults.cut(chance.randrange(60_000), reset=chance.random() < 0.5, route="logs")
        async with reading.running():
            for _ in range(chance.randrange(40)):
                stream = chance.choice(["stdout", "stderr"])
                text = b"%d " % len(written[stream]) + b"x" * chance.choice([0, 10, 300, 20_000])
                web.write(text + b"\n", stream)
                written[stream].append(text)
            await asyncio.sleep(chance.random() * 0.02)
    engine.faults.clear()
    async with reading.running():
        for stream, lines in written.items():
            assert await reading.lines(len(lines), stream) == lines
    assert len(set(reading.kept.ids())) == sum(map(len, written.values()))
    assert reading.losses.entries == []
