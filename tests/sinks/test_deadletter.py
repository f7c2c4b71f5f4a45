"""Promises of a replay: what is delivered is removed, what is not stays, whatever interrupts it."""

from __future__ import annotations

import asyncio
import fcntl
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.batch import Batch, Stream
from agent.errors import SinkError
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry
from agent.sinks.deadletter import DeadLetterBacklog, DeadLetters, ReplayResult, inspect, replay
from agent.sinks.letterbox import Refusal, letters
from agent.sinks.pace import Pace
from tests.sinks.scripted import DB, Clock, ScriptedSink, always, batch, script


async def keep(directory: Path, *batches: Batch, name: str = "fake", max_bytes: int = 1 << 20) -> None:
    await DeadLetters(directory, name, max_bytes=max_bytes).add([Refusal(each, "bad") for each in batches])


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def kept(directory: Path) -> list[bytes]:
    return [
        letter.message for path in files(directory) for _, _, letter in letters(path) if letter is not None
    ]


def words(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_all_are_delivered_as_the_records_they_were(tmp_path: Path) -> None:
    """Container, stream, time, place and mark of cutting; oldest first; then nothing is left."""

    class Looking(ScriptedSink):
        async def deliver(self, batches: Sequence[Batch]) -> Outcome:
            seen.extend(batches)
            return await super().deliver(batches)

    seen: list[Batch] = []
    first = Batch(DB, Stream.STDERR, [7, 7], [b"a\xff", b"b"], [0, 1], frozenset({1}))
    await keep(tmp_path, first, batch(b"c"), batch(b"d"))
    sink = Looking()
    assert await replay(sink, tmp_path) == ReplayResult(delivered=4)
    assert sink.delivered == [b"a\xff", b"b", b"c", b"d"]
    assert seen[0].container.to_json() == DB.to_json()
    assert (seen[0].stream, seen[0].timestamps, seen[0].ordinals) == (Stream.STDERR, [7, 7], [0, 1])
    assert seen[0].truncated == {1}
    assert len(seen) == 2
    assert files(tmp_path) == []
    assert not sink.opened


async def test_what_is_refused_again_stays_with_the_new_reason(tmp_path: Path) -> None:
    """And goes the same way the next time."""

    def judge(rows: Sequence[bytes]) -> Outcome:
        return Refused("still bad") if b"3" in rows else Delivered()

    await keep(tmp_path, batch(*words(8)))
    assert await replay(ScriptedSink(judge), tmp_path) == ReplayResult(delivered=7, refused=1)
    assert kept(tmp_path) == [b"3"]
    assert b"still bad" in (tmp_path / "fake.ndjson").read_bytes()
    assert await replay(ScriptedSink(), tmp_path) == ReplayResult(delivered=1)
    assert kept(tmp_path) == []


async def test_both_generations_are_replayed_and_no_other_sink_is(tmp_path: Path) -> None:
    """Oldest first."""
    for word in words(30):
        await keep(tmp_path, batch(word), max_bytes=8_000)
    await keep(tmp_path, batch(b"another's"), name="other")
    left = kept(tmp_path)
    sink = ScriptedSink()
    await replay(sink, tmp_path)
    assert sorted(sink.delivered, key=int) == sink.delivered
    assert Counter(sink.delivered) == Counter(left) - Counter([b"another's"])
    assert kept(tmp_path) == [b"another's"]


async def test_without_dead_letters_the_receiver_is_left_alone(tmp_path: Path) -> None:
    """Nor is the sink opened."""
    sink = ScriptedSink(openings=[SinkError("opened")])
    assert await replay(sink, tmp_path) == ReplayResult()
    assert sink.probed == 0


@pytest.mark.parametrize("answer", [Misconfigured("401"), Retry("connection refused")])
async def test_a_receiver_that_takes_nothing_is_told_at_once(tmp_path: Path, answer: Outcome) -> None:
    """A person waits: nothing is begun, nothing is changed."""
    await keep(tmp_path, batch(*words(3)))
    with pytest.raises(SinkError, match="sink fake takes no records now: "):
        await replay(ScriptedSink(probes=[answer]), tmp_path)
    assert kept(tmp_path) == words(3)


async def test_a_receiver_that_does_not_answer_is_told_too(tmp_path: Path) -> None:
    """Within the sink's `timeout`."""

    class Deaf(ScriptedSink):
        async def probe(self) -> Outcome:
            await asyncio.Event().wait()
            return Delivered()

    await keep(tmp_path, batch(*words(3)))
    with pytest.raises(SinkError, match="takes no records now: no answer within 10ms"):
        await replay(Deaf(timeout=0.01), tmp_path)
    assert kept(tmp_path) == words(3)


async def test_a_receiver_that_fails_underway_is_waited_for(tmp_path: Path) -> None:
    """As the agent does."""
    clock = Clock()
    await keep(tmp_path, batch(*words(3)))
    sink = ScriptedSink(script(Retry("busy", after=5.0)))
    result = await replay(sink, tmp_path, pace=Pace(clock.now, clock.sleep))
    assert result == ReplayResult(delivered=3)
    assert clock.slept == [5.0]


async def test_progress_is_told_after_each_request(tmp_path: Path) -> None:
    """The result so far."""
    told: list[ReplayResult] = []
    await keep(tmp_path, batch(*words(6)))
    await replay(ScriptedSink(batch_records=2), tmp_path, progress=told.append)
    assert told == [ReplayResult(delivered=2), ReplayResult(delivered=4), ReplayResult(delivered=6)]


@pytest.mark.parametrize("requests", range(5))
async def test_interrupted_it_goes_on_where_it_was(tmp_path: Path, requests: int) -> None:
    """Nothing is lost; at most the last request's records come twice."""
    left = [requests]

    def judge(rows: Sequence[bytes]) -> Outcome:
        if not left[0]:
            raise ZeroDivisionError
        left[0] -= 1
        return Refused("bad", isolate=False) if b"2" in rows else Delivered()

    await keep(tmp_path, batch(*words(10)))
    first, second = ScriptedSink(judge, batch_records=2), ScriptedSink(batch_records=2)
    with pytest.raises(ZeroDivisionError):
        await replay(first, tmp_path)
    assert {*first.delivered, *kept(tmp_path)} == {*words(10)}
    await keep(tmp_path, batch(b"new"))
    await replay(second, tmp_path)
    times = Counter(first.delivered + second.delivered)
    assert set(times) == {*words(10), b"new"}
    assert max(times.values()) == 1
    assert kept(tmp_path) == []


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_cancelled_anywhere_nothing_is_lost(tmp_path: Path, turns: int) -> None:
    """Each record is at the receiver or on disk at any time."""
    sink, again = ScriptedSink(batch_records=2), ScriptedSink()

    async def cut_off() -> None:
        await keep(tmp_path, batch(*words(10)))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(replay(sink, tmp_path))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()

    asyncio.run(cut_off())
    assert {*sink.delivered, *kept(tmp_path)} == {*words(10)}
    asyncio.run(replay(again, tmp_path))
    assert {*sink.delivered, *again.delivered} == {*words(10)}


async def test_an_agent_may_add_meanwhile(tmp_path: Path) -> None:
    """What comes during a replay is for the next."""

    class Adding(ScriptedSink):
        async def deliver(self, batches: Sequence[Batch]) -> Outcome:
            await keep(tmp_path, batch(b"new"))
            return await super().deliver(batches)

    await keep(tmp_path, batch(*words(3)))
    assert await replay(Adding(), tmp_path) == ReplayResult(delivered=3)
    assert kept(tmp_path) == [b"new"]


async def test_two_replays_at_once_are_refused(tmp_path: Path) -> None:
    """The second is told to wait."""
    await keep(tmp_path, batch(*words(3)))
    with pytest.raises(ZeroDivisionError):
        await replay(ScriptedSink(raising), tmp_path)
    (path,) = files(tmp_path)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SinkError, match="another replay of sink fake is under way"):
            await replay(ScriptedSink(), tmp_path)
    assert await replay(ScriptedSink(), tmp_path) == ReplayResult(delivered=3)


async def test_a_damaged_line_is_left_for_a_person(tmp_path: Path) -> None:
    """The rest is delivered, and only once."""
    await keep(tmp_path, batch(b"before"))
    path = tmp_path / "fake.ndjson"
    path.write_bytes(path.read_bytes() + b'{"batch":{"container":{}}}\nnonsense\n')
    await keep(tmp_path, batch(b"after"))
    sink = ScriptedSink()
    assert await replay(sink, tmp_path) == ReplayResult(delivered=2, damaged=2)
    assert await replay(sink, tmp_path) == ReplayResult(damaged=2)
    assert sink.delivered == [b"before", b"after"]
    assert inspect(tmp_path) == [DeadLetterBacklog("fake", 2, 36)]


async def test_they_are_counted_by_sink(tmp_path: Path) -> None:
    """Without those that were dealt with."""
    assert inspect(tmp_path) == []
    await keep(tmp_path, batch(*words(3)))
    await keep(tmp_path, batch(b"x"), name="other")
    paths = [tmp_path / f"{name}.ndjson" for name in ("fake", "other")]
    sizes = [path.stat().st_size for path in paths]
    assert inspect(tmp_path) == [
        DeadLetterBacklog("fake", 3, sizes[0]),
        DeadLetterBacklog("other", 1, sizes[1]),
    ]
    await replay(ScriptedSink(always(Delivered())), tmp_path)
    assert inspect(tmp_path) == [DeadLetterBacklog("other", 1, sizes[1])]


def raising(_: Sequence[bytes]) -> Outcome:
    raise ZeroDivisionError
