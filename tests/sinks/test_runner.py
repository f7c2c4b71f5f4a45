"""Promises of a runner: everything arrives or is a dead letter, once, in order, wherever it is interrupted."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.batch import Batch
from agent.errors import SinkError
from agent.sinks.base import Delivered, Limits, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.health import State
from agent.spool import Entry
from tests.sinks.scripted import Feed, ScriptedSink, Stage, always, batch, numbered, script

PATIENCE_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it holds; fails when that takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is told by no event
            await asyncio.sleep(0)


class Whims:
    """A receiver that answers at random, but for its first 60 answers only; "bad" records it always refuses."""

    def __init__(self, seed: int, *, partial: bool = True) -> None:
        self._random = random.Random(seed)
        self._partial = partial
        self._left = 60

    def __call__(self, rows: Sequence[bytes]) -> Outcome:
        self._left -= 1
        bad = {row: "bad" for row, message in enumerate(rows) if message.startswith(b"bad")}
        if bad and (not self._partial or self._random.random() < 0.5):
            return Refused("bad among them")
        if self._left <= 0:
            return Partial(refused=bad) if bad else Delivered()
        choice = self._random.randrange(8)
        if choice == 0:
            return Retry("down", after=self._random.choice([None, 1.0]))
        if choice == 1:
            return TooLarge("413")
        if choice == 2:
            return Refused("400", isolate=self._random.random() < 0.8)
        if choice == 3:
            return Misconfigured("401")
        if bad or (self._partial and choice < 6):
            again = [row for row in range(len(rows)) if self._random.random() < 0.4]
            return Partial(retry=again, refused=bad, why="busy")
        return Delivered()


entries = st.lists(st.lists(st.sampled_from(["good", "bad"]), max_size=6), max_size=8)


def staged(shape: list[list[str]], sink: ScriptedSink) -> tuple[Stage, list[bytes]]:
    numbers = iter(range(1_000))
    messages = [[f"{kind}{next(numbers)}".encode() for kind in kinds] for kinds in shape]
    stage = Stage(sink, Feed(batch(*each) for each in messages))

    def settled_first(entry: Entry) -> None:
        kept = {message for message, _ in stage.kept}
        assert {*entry.batch.messages} <= {*sink.delivered, *kept}

    stage.feed.on_done = settled_first
    return stage, [message for each in messages for message in each]


@settings(deadline=None, derandomize=True)  # each example is an event loop
@given(entries, st.integers(), st.integers(1, 3), st.integers(1, 10))
def test_whatever_is_answered_a_record_is_delivered_or_a_dead_letter(
    shape: list[list[str]], seed: int, concurrency: int, records: int
) -> None:
    """Exactly once one of the two, never both; acknowledged after that; the bad ones are never delivered."""
    sink = ScriptedSink(Whims(seed), concurrency=concurrency, batch_records=records)
    stage, messages = staged(shape, sink)
    asyncio.run(stage.runner.run())
    kept = [message for message, _ in stage.kept]
    assert Counter(sink.delivered) + Counter(kept) == Counter(messages)
    assert not any(message.startswith(b"bad") for message in sink.delivered)
    assert stage.feed.empty
    assert sink.most_under_way <= concurrency
    assert stage.counted("lag_records") == 0


@settings(deadline=None, derandomize=True)  # each example is an event loop
@given(entries, st.integers(), st.integers(1, 10))
def test_one_request_at_a_time_keeps_the_order(shape: list[list[str]], seed: int, records: int) -> None:
    """However requests are retried, held and divided; only a Partial puts rows off, and it wants to."""
    sink = ScriptedSink(Whims(seed, partial=False), batch_records=records)
    stage, messages = staged(shape, sink)
    asyncio.run(stage.runner.run())
    order = {message: place for place, message in enumerate(messages)}
    places = [order[message] for message in sink.delivered]
    assert places == sorted(places)
    filled = [seq for seq in stage.feed.acknowledged if shape[seq - 1]]
    assert filled == sorted(filled)


@pytest.mark.parametrize("turns", range(60))
async def test_cancelled_anywhere_it_goes_on_without_loss(turns: int) -> None:
    """Stopped after so many turns of the loop, and run again: all arrives; only what was under way twice."""
    answers: list[Outcome] = [
        Retry("down"),
        TooLarge("413"),
        Partial(retry=[0], refused={1: "bad"}),
        Delivered(),
        Misconfigured("401"),
        Refused("400"),
    ]
    sink = ScriptedSink(script(*answers), probes=[Retry("down")], batch_records=4)
    stage = Stage(sink, Feed(numbered(12, each=4)))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(stage.runner.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
    assert not sink.opened
    settled = {*sink.delivered, *(message for message, _ in stage.kept)}
    for seq in stage.feed.acknowledged:
        assert {str(number).encode() for number in range(4 * seq - 4, 4 * seq)} <= settled
    await stage.runner.run()
    times = Counter(sink.delivered) + Counter(message for message, _ in stage.kept)
    assert set(times) == {str(number).encode() for number in range(12)}
    assert max(times.values()) <= 2
    assert stage.feed.empty
    assert stage.runner.health.state is State.IDLE


async def test_no_more_requests_than_concurrency_are_under_way() -> None:
    """And as many, where there is work for them."""
    threes = asyncio.Barrier(3)

    class Meeting(ScriptedSink):
        async def deliver(self, batches: Sequence[Batch]) -> Outcome:
            async with asyncio.timeout(PATIENCE_S):
                await threes.wait()
            return await super().deliver(batches)

    sink = Meeting(concurrency=3, batch_records=1)
    await Stage(sink, Feed(numbered(30))).runner.run()
    assert sink.most_under_way == 3
    assert len(sink.requests) == 30


async def test_requests_keep_to_the_narrower_of_options_and_limits() -> None:
    """Records and bytes; a batch is cut where it must be, and its entry done when all of it is."""
    sink = ScriptedSink(limits=Limits(request_records=7, request_bytes=5 * 162), batch_records=100)
    stage = Stage(sink, Feed([*numbered(23, each=23), batch(b"x" * 10_000), batch(b"last")]))
    await stage.runner.run()
    assert [len(rows) for rows in sink.requests] == [5, 5, 5, 5, 3, 1, 1]
    assert stage.feed.acknowledged == [1, 2, 3]


async def test_a_batch_without_records_is_no_request() -> None:
    """A filter may leave nothing of it; the position passes all the same."""
    stage = Stage(ScriptedSink(), Feed([batch(), *numbered(1), batch()]))
    await stage.runner.run()
    assert stage.sink.requests == [[b"0"]]
    assert sorted(stage.feed.acknowledged) == [1, 2, 3]


async def test_sealed_it_drains_and_ends() -> None:
    """What was put before the seal arrives, then the sink is closed."""
    stage = Stage(ScriptedSink(), Feed(sealed=False))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.runner.run())
        await until(lambda: stage.runner.health.state is State.IDLE)
        for each in numbered(5):
            stage.feed.put(each)
        stage.feed.seal()
        async with asyncio.timeout(PATIENCE_S):
            await running
    assert len(stage.sink.delivered) == 5
    assert not stage.sink.opened


async def test_a_sink_that_does_not_open_is_opened_until_it_does() -> None:
    """SinkError is no reason to die: a person may mend it. Until then the sink is held."""
    stage = Stage(ScriptedSink(openings=[SinkError("no such file")] * 10), Feed(numbered(1)))
    await stage.runner.run()
    assert stage.sink.delivered == [b"0"]
    assert [health.state for health in stage.seen] == [State.HELD] * 10
    assert stage.runner.health.last_error == "no such file"
    assert stage.clock.slept[-1] >= 30
    assert stage.counted("sink_up") == 1


async def test_what_a_sink_raises_comes_out_and_the_next_run_goes_on() -> None:
    """It is a fault of the sink, for the supervisor; nothing of it is acknowledged, and the sink is closed."""
    faults = [RuntimeError("a fault")]

    def judge(_: Sequence[bytes]) -> Outcome:
        if faults:
            raise faults.pop()
        return Delivered()

    stage = Stage(ScriptedSink(judge), Feed(numbered(3)))
    with pytest.raises(ExceptionGroup) as raised:
        await stage.runner.run()
    assert raised.group_contains(RuntimeError, match="a fault")
    assert stage.feed.acknowledged == []
    assert not stage.sink.opened
    await stage.runner.run()
    assert stage.sink.delivered == [b"0", b"1", b"2"]


async def test_a_time_out_of_the_sink_itself_is_no_retry() -> None:
    """Only the runner's own is: a TimeoutError that a sink lets out is a fault to be seen."""

    def judge(_: Sequence[bytes]) -> Outcome:
        raise TimeoutError("mine")

    stage = Stage(ScriptedSink(judge), Feed(numbered(1)))
    with pytest.raises(ExceptionGroup) as raised:
        await stage.runner.run()
    assert raised.group_contains(TimeoutError, match="mine")


async def test_the_checkpoint_goes_round() -> None:
    """Saved with the position, durably when the sink asks, and given back when it opens."""
    stage = Stage(ScriptedSink(), Feed(numbered(2)))
    stage.feed.checkpoint = b"before"
    await stage.runner.run()
    assert stage.sink.given == b"before"
    assert stage.feed.checkpoint == b"2"
    assert stage.sink.save is not None
    await stage.sink.save(b"part 7")
    assert stage.feed.checkpoint == b"part 7"


async def test_health_tells_the_states_apart() -> None:
    """starting, idle, retrying, held, and idle again with the last success and error."""
    stage = Stage(ScriptedSink(script(Retry("down"), Misconfigured("401"))), Feed(sealed=False))
    assert stage.runner.health.state is State.STARTING
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.runner.run())
        await until(lambda: stage.runner.health.state is State.IDLE)
        stage.feed.put(numbered(1)[0])
        await until(lambda: bool(stage.feed.acknowledged))
        stage.feed.seal()
    health = stage.runner.health
    assert [health.state for health in stage.seen] == [State.RETRYING, State.HELD]
    assert (health.state, health.last_error, health.last_success) == (State.IDLE, "401", stage.clock.time)
    assert health.retries == 0


async def test_the_lag_is_shown_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A held sink's lag grows, and the metrics with it."""
    monkeypatch.setattr("agent.sinks.runner.LAG_EVERY_S", 0.001)
    stage = Stage(ScriptedSink(always(Misconfigured("401"))), Feed(numbered(1), sealed=False))
    stage.sink._probes = [Misconfigured("401")] * 1_000_000
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.runner.run())
        await until(lambda: stage.runner.health.state is State.HELD)
        stage.feed.put(batch(b"three", b"more", b"records"))
        await until(lambda: stage.counted("lag_records") == 4)
        assert stage.counted("lag_bytes") == 17
        assert stage.counted("lag_seconds") > 0
        assert stage.counted("sink_up") == 0
        running.cancel()


async def test_closing_is_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A sink whose close hangs does not hold up the shutdown."""
    monkeypatch.setattr("agent.sinks.runner.CLOSE_LIMIT_S", 0.01)

    class Clinging(ScriptedSink):
        async def close(self) -> None:
            await asyncio.Event().wait()

    stage = Stage(Clinging(), Feed(numbered(1)))
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(PATIENCE_S):
            await stage.runner.run()
    assert caplog.messages == ["sink fake did not close within 10ms"]


async def test_an_opening_is_bounded() -> None:
    """A sink that hangs when it opens is opened again."""

    class Stuck(ScriptedSink):
        tries = 0

        async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
            self.tries += 1
            if self.tries == 1:
                await asyncio.Event().wait()
            await super().open(checkpoint, save)

    stage = Stage(Stuck(timeout=0.01), Feed(numbered(1)))
    await stage.runner.run()
    assert stage.sink.delivered == [b"0"]
    assert stage.seen[0].last_error == "it did not open within 10ms"
