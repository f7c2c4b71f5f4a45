"""What becomes of each answer a receiver may give, seen through a runner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.deadletter import DeadLetters, inspect
from tests.sinks.scripted import Box, Feed, ScriptedSink, Stage, always, numbered, script


def words(*numbers: int) -> list[bytes]:
    return [str(number).encode() for number in numbers]


async def test_what_is_delivered_is_acknowledged_and_counted() -> None:
    """Delivered: the position may move, and the metrics say so."""
    stage = Stage(ScriptedSink(), Feed(numbered(6, each=2)))
    await stage.runner.run()
    assert stage.sink.delivered == words(*range(6))
    assert stage.feed.acknowledged == [1, 2, 3]
    assert stage.feed.checkpoint == b"6"
    assert stage.counted("delivered_records_total", container="web") == 6
    assert stage.counted("delivered_bytes_total") == 6
    assert stage.counted("requests_total", outcome="delivered") == 1
    assert stage.counted("request_seconds_count") == 1
    assert stage.counted("sink_up") == 1


async def test_a_retry_sends_the_same_again_after_growing_waits() -> None:
    """Nothing is known to have arrived: the whole, again."""
    stage = Stage(ScriptedSink(script(*[Retry("down")] * 12)), Feed(numbered(3, each=3)))
    await stage.runner.run()
    assert stage.sink.requests == [words(0, 1, 2)] * 13
    assert stage.sink.delivered == words(0, 1, 2)
    bounds = [min(30.0, 0.25 * 2**failures) for failures in range(12)]
    assert len(stage.clock.slept) == 12
    assert all(wait <= bound for wait, bound in zip(stage.clock.slept, bounds, strict=True))
    assert stage.counted("retries_total") == 12
    assert stage.counted("requests_total", outcome="retry") == 12


@pytest.mark.parametrize(("asked", "waited"), [(45.0, 45.0), (10_000.0, 600.0)])
async def test_a_receiver_that_says_when_is_asked_then(asked: float, waited: float) -> None:
    """Retry-After is honoured, up to ten minutes."""
    stage = Stage(ScriptedSink(script(Retry("busy", after=asked))), Feed(numbered(1)))
    await stage.runner.run()
    assert stage.clock.slept == [waited]


async def test_a_request_without_an_answer_is_sent_again() -> None:
    """A request is not waited for longer than the sink's `timeout`."""

    class Deaf(ScriptedSink):
        async def deliver(self, batches: Sequence[object]) -> Outcome:
            if not self.requests:
                self.requests.append([])
                await asyncio.Event().wait()
            return await super().deliver(batches)  # type: ignore[arg-type]

    stage = Stage(Deaf(timeout=0.01), Feed(numbered(1)))
    await stage.runner.run()
    assert stage.sink.delivered == words(0)
    assert stage.seen[0].last_error == "no answer within 10ms"


async def test_only_the_rows_not_taken_are_sent_again() -> None:
    """Partial: the taken are done with, the refused are dead letters, the rest goes again."""
    answer = Partial(retry=[1, 3], refused={2: "bad"}, why="busy")
    stage = Stage(ScriptedSink(script(answer)), Feed(numbered(5, each=2)))
    await stage.runner.run()
    assert stage.sink.requests == [words(0, 1, 2, 3, 4), words(1, 3)]
    assert stage.sink.delivered == words(0, 4, 1, 3)
    assert stage.kept == [(b"2", "bad")]
    assert sorted(stage.feed.acknowledged) == [1, 2, 3]


async def test_a_row_both_refused_and_to_be_retried_is_retried() -> None:
    """It may yet be delivered."""
    stage = Stage(ScriptedSink(script(Partial(retry=[0], refused={0: "bad"}))), Feed(numbered(1)))
    await stage.runner.run()
    assert stage.sink.delivered == words(0)
    assert stage.kept == []


async def test_a_partial_of_rows_that_were_not_sent_is_a_fault_of_the_sink() -> None:
    """To guess what it meant could lose a record."""
    stage = Stage(ScriptedSink(always(Partial(retry=[3]))), Feed(numbered(3, each=3)))
    with pytest.raises(ExceptionGroup) as raised:
        await stage.runner.run()
    assert raised.group_contains(ValueError, match="rows that are not among the 3 sent")
    assert stage.feed.acknowledged == []


async def test_too_large_a_request_is_halved_in_order() -> None:
    """And a single record that is too large is a dead letter, which does not stop the rest."""

    def judge(rows: Sequence[bytes]) -> Outcome:
        return TooLarge("413") if len(rows) > 2 or b"5" in rows else Delivered()

    stage = Stage(ScriptedSink(judge), Feed(numbered(8, each=8)))
    await stage.runner.run()
    assert stage.sink.delivered == words(0, 1, 2, 3, 4, 6, 7)
    assert stage.kept == [(b"5", "413")]
    assert stage.feed.acknowledged == [1]


async def test_after_too_large_a_request_the_next_ones_are_smaller() -> None:
    """A receiver's limit is not found again with each request, at the price of sending everything twice."""

    def judge(rows: Sequence[bytes]) -> Outcome:
        return TooLarge("413") if len(rows) > 100 else Delivered()

    stage = Stage(ScriptedSink(judge, batch_bytes=64 * 1024), Feed(numbered(10_000, each=10)))
    await stage.runner.run()
    assert len(stage.sink.delivered) == 10_000
    refused = stage.counted("requests_total", outcome="too_large")
    assert 1 <= refused < 0.1 * stage.counted("requests_total", outcome="delivered")


async def test_a_poisonous_record_is_found_in_few_requests() -> None:
    """Refused: halves, until it is alone; the other 1,023 arrive, in order."""

    def judge(rows: Sequence[bytes]) -> Outcome:
        return Refused("mapping") if b"700" in rows else Delivered()

    stage = Stage(ScriptedSink(judge), Feed(numbered(1024, each=100)))
    await stage.runner.run()
    assert stage.sink.delivered == words(*range(700), *range(701, 1024))
    assert stage.kept == [(b"700", "mapping")]
    assert len(stage.sink.requests) <= 2 * 10 + 1
    assert stage.counted("refused_records_total", container="web") == 1


async def test_what_may_have_been_stored_in_part_is_not_sent_again() -> None:
    """Refused without isolation: all of it to the dead letters, in one request."""
    stage = Stage(ScriptedSink(script(Refused("400", isolate=False))), Feed(numbered(3, each=3)))
    await stage.runner.run()
    assert stage.sink.requests == [words(0, 1, 2)]
    assert stage.kept == [(word, "400") for word in words(0, 1, 2)]
    assert stage.feed.acknowledged == [1]


async def test_a_misconfigured_sink_is_held_until_it_is_mended() -> None:
    """It is probed, not sent records; then the same batch goes on. Nothing is lost."""
    probes: list[Outcome] = [Misconfigured("401"), Retry("down"), *[Misconfigured("401")] * 7, Delivered()]
    stage = Stage(ScriptedSink(script(Misconfigured("401")), probes=probes), Feed(numbered(2, each=2)))
    await stage.runner.run()
    assert stage.sink.probed == 10
    assert stage.sink.requests == [words(0, 1)] * 2
    assert stage.sink.delivered == words(0, 1)
    assert max(stage.clock.slept) <= 60
    assert stage.clock.slept[-1] >= 30


async def test_a_probe_that_passes_where_records_do_not_is_no_busy_loop() -> None:
    """The waits grow until records really pass."""
    stage = Stage(ScriptedSink(script(*[Misconfigured("403")] * 8)), Feed(numbered(1)))
    await stage.runner.run()
    assert stage.sink.delivered == words(0)
    assert stage.clock.slept[-1] >= 30


async def test_the_next_hold_begins_with_short_waits_again() -> None:
    """A sink that delivered in between is not waited for as long as one that never did."""
    answers: list[Outcome] = [*[Misconfigured("403")] * 8, Delivered(), Misconfigured("403")]
    stage = Stage(ScriptedSink(script(*answers), batch_records=1), Feed(numbered(2)))
    await stage.runner.run()
    assert stage.clock.slept[-2] >= 30
    assert stage.clock.slept[-1] <= 1


async def test_one_probe_serves_all_that_is_held() -> None:
    """Four requests under way are refused for a bad token: one of them asks, the others wait."""
    judge = script(*[Misconfigured("401")] * 4)
    sink = ScriptedSink(judge, probes=[Misconfigured("401")] * 2, concurrency=4, batch_records=1)
    stage = Stage(sink, Feed(numbered(4)))
    await stage.runner.run()
    assert stage.sink.probed == 3
    assert sorted(stage.sink.delivered) == words(0, 1, 2, 3)


async def test_a_request_is_given_up_after_retry_for() -> None:
    """Not earlier, not later; into the dead letters, and into the book of losses."""
    stage = Stage(ScriptedSink(always(Retry("down")), retry_for=60.0), Feed(numbered(2, each=2)))
    began = stage.clock.time
    await stage.runner.run()
    assert stage.clock.time - began == pytest.approx(60)
    assert stage.kept == [(b"0", "down"), (b"1", "down")]
    assert stage.counted("lost_records_total", cause="retry_for_exceeded", container="web") == 2
    assert stage.feed.acknowledged == [1]


async def test_what_a_person_mends_slowly_is_not_given_up() -> None:
    """`retry_for` counts retries, not the time a sink is held."""
    judge = script(Retry("down"), Misconfigured("401"), Retry("down"))
    sink = ScriptedSink(judge, probes=[Misconfigured("401")] * 20, retry_for=60.0)
    stage = Stage(sink, Feed(numbered(1)))
    await stage.runner.run()
    assert sum(stage.clock.slept) > 60
    assert stage.sink.delivered == words(0)


async def test_progress_begins_retry_for_anew() -> None:
    """A slow receiver that takes a record now and then is not given up."""
    judge = script(*[Partial(retry=range(1, left), after=50.0) for left in range(9, 1, -1)])
    stage = Stage(ScriptedSink(judge, retry_for=60.0), Feed(numbered(9, each=9)))
    await stage.runner.run()
    assert stage.sink.delivered == words(*range(9))
    assert stage.kept == []


async def test_without_a_state_directory_what_is_refused_is_lost_and_said_to_be() -> None:
    """Memory mode: counted by container, and passed."""
    stage = Stage(ScriptedSink(script(Refused("400"))), Feed(numbered(1)), DeadLetters(None, "fake"))
    await stage.runner.run()
    assert stage.counted("lost_records_total", cause="refused", container="web") == 1
    assert stage.counted("refused_records_total", container="web") == 1
    assert stage.feed.acknowledged == [1]


async def test_dead_letters_are_no_loss_until_they_make_room(tmp_path: Path) -> None:
    """What the bound costs is counted by container."""
    box = DeadLetters(tmp_path, "fake", max_bytes=8_000)
    sink = ScriptedSink(always(Refused("400", isolate=False)), batch_records=10)
    stage = Stage(sink, Feed(numbered(100, each=10)), box)
    await stage.runner.run()
    (backlog,) = inspect(tmp_path)
    lost = stage.counted("lost_records_total", cause="dead_letters_full", container="web")
    assert 0 < lost == 100 - backlog.records
    assert stage.counted("lost_records_total", cause="refused", container="web") == 0
    assert stage.counted("refused_records_total", container="web") == 100


async def test_dead_letters_that_cannot_be_written_hold_the_sink() -> None:
    """A record is not acknowledged before it is kept: a full disk delays, it does not lose."""
    box = Box([OSError(28, "No space left on device")] * 3)
    stage = Stage(ScriptedSink(script(Refused("400"))), Feed(numbered(1)), box)
    stage.feed.on_done = lambda _: kept.extend(stage.kept)
    kept: list[tuple[bytes, str]] = []
    await stage.runner.run()
    assert kept == [(b"0", "400")]
    assert len(stage.clock.slept) == 3


async def test_an_outage_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """One when it begins, one when it is over; none per retry."""
    stage = Stage(ScriptedSink(script(*[Retry("connection refused")] * 40)), Feed(numbered(1)))
    with caplog.at_level(logging.INFO):
        await stage.runner.run()
    first, last = caplog.messages
    assert first == "sink fake fails and is tried again: connection refused"
    assert last.startswith("sink fake is well again after ")
    assert last.endswith(" and 40 retries")


async def test_refusals_are_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand refused records are a line or two, which count them all and say where they are."""
    sink = ScriptedSink(always(Refused("mapping")), batch_records=10)
    stage = Stage(sink, Feed(numbered(1000, each=10)))
    with caplog.at_level(logging.INFO):
        await stage.runner.run()
    assert len(caplog.messages) == 2
    assert sum(int(message.split()[3]) for message in caplog.messages) == 1000
    assert "mapping (kept in /nowhere/fake.ndjson" in caplog.messages[0]
