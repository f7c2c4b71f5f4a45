"""The runner on the spool itself, and proof that the feed of the other tests behaves like the spool's reader."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.batch import Batch
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import MiB
from agent.sinks.base import Delivered, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.health import State
from agent.sinks.letterbox import DeadLetters, letters
from agent.sinks.runner import Feed as RunnersFeed
from agent.sinks.runner import Runner
from agent.spool import Spool, SpoolConfig, Subscriber
from tests.sinks.scripted import Box, Clock, Feed, ScriptedSink, numbered, script

PATIENCE_S = 10.0


@asynccontextmanager
async def spool(directory: Path | None) -> AsyncIterator[Spool]:
    metrics = Metrics()
    config = SpoolConfig(directory, 16 * MiB, 16 * MiB)
    subscriber = Subscriber("fake", "block")
    async with Spool.open(config, [subscriber], metrics=metrics, losses=Losses(metrics)) as opened:
        yield opened


def runner(sink: ScriptedSink, feed: RunnersFeed, box: DeadLetters) -> Runner:
    clock, metrics = Clock(), Metrics()
    return Runner(
        sink,
        feed,
        metrics=metrics,
        losses=Losses(metrics),
        dead_letters=box,
        now=clock.now,
        sleep=clock.sleep,
    )


def words(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@pytest.fixture(params=["fake", "memory", "disk"])
async def feed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunnersFeed]:
    """Five sealed entries of two records each, from the fake and from the spool."""
    batches = numbered(10, each=2)
    if request.param == "fake":
        yield Feed(batches)
        return
    async with spool(None if request.param == "memory" else tmp_path) as opened:
        reader = opened.reader("fake")
        await opened.put(batches)
        await opened.flush()
        opened.seal()
        yield reader


async def take(feed: RunnersFeed, records: int) -> list[bytes]:
    async with asyncio.timeout(PATIENCE_S):
        entries = await feed.fill(records=records, bytes=1_000_000, age=0.0)
    return [message for entry in entries for message in entry.batch.messages]


async def test_a_feed_fills_up_to_the_batch_that_reaches_the_bound(feed: RunnersFeed) -> None:
    """In order, never splitting one, and nothing twice."""
    assert await take(feed, 3) == words(0, 1, 2, 3)
    assert await take(feed, 1) == words(4, 5)
    assert await take(feed, 100) == words(6, 7, 8, 9)
    assert await take(feed, 100) == []


async def test_a_feed_rewound_gives_again_what_was_not_done(feed: RunnersFeed) -> None:
    """Oldest first, those in the middle left out."""
    entries = await feed.fill(records=6, bytes=1_000_000, age=0.0)
    feed.done(entries[1:2], b"mark")
    assert feed.checkpoint == b"mark"
    assert feed.lag().records == 8
    feed.rewind()
    assert await take(feed, 100) == words(0, 1, 4, 5, 6, 7, 8, 9)


async def test_a_runner_takes_a_feed_to_its_end(feed: RunnersFeed) -> None:
    """Through retries, cuts and refusals; then nothing waits."""
    answers: list[Outcome] = [Retry("down"), TooLarge("413"), Partial(retry=[0], refused={1: "bad"})]
    sink, box = ScriptedSink(script(*answers), batch_records=8), Box()
    running = runner(sink, feed, box)
    async with asyncio.timeout(PATIENCE_S):
        await running.run()
    delivered = Counter(sink.delivered) + Counter(message for message, _ in box.kept)
    assert delivered == Counter(words(*range(10)))
    assert len(box.kept) == 1
    assert (feed.lag().records, feed.lag().oldest_ns) == (0, None)
    assert running.health.state is State.IDLE


@pytest.mark.parametrize("requests", range(8))
async def test_stopped_and_started_again_all_arrive(tmp_path: Path, requests: int) -> None:
    """Across two lives of the agent on one state directory: at most what was under way comes twice."""
    stop = asyncio.Event()

    class Stopping(ScriptedSink):
        async def deliver(self, batches: Sequence[Batch]) -> Outcome:
            if len(self.requests) == requests:
                stop.set()
                await asyncio.Event().wait()
            return await super().deliver(batches)

    def judge(rows: Sequence[bytes]) -> Outcome:
        return Refused("mapping") if b"13" in rows else Delivered()

    first, second = Stopping(judge, batch_records=4), ScriptedSink(judge, batch_records=4)
    box = DeadLetters(tmp_path / "dead-letter", "fake")
    async with spool(tmp_path) as opened, asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        running = group.create_task(runner(first, opened.reader("fake"), box).run())
        await opened.put(numbered(20, each=2))
        await stop.wait()
        running.cancel()
    async with spool(tmp_path) as opened, asyncio.timeout(PATIENCE_S):
        opened.seal()
        await runner(second, opened.reader("fake"), box).run()
    times = Counter(first.delivered + second.delivered)
    assert set(times) == set(words(*range(20))) - {b"13"}
    assert sum(times.values()) <= 19 + 4
    assert box.path is not None
    assert {letter.message for _, _, letter in letters(box.path) if letter} == {b"13"}
