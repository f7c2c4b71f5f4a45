"""What every sink does when its receiver is in trouble, or makes some: nothing is lost, little is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter

from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Retry
from agent.sinks.health import State
from tests.contract.cases import cancelled_after, many, noise
from tests.contract.play import AT_ONCE, DEADLINE_S, opened, playing
from tests.contract.stage import Case, Stage, performed
from tests.receivers.sent import batch, container, expected


@performed(Case.THROTTLED)
async def test_a_throttling_receiver_is_left_alone_as_long_as_it_says(stage: Stage) -> None:
    sent = many(20)
    async with playing(stage) as play:
        async with stage.throttling() as seconds:
            await play.put(sent)
            await play.until(lambda: bool(play.slept))
        await play.settled()
        arrived = await stage.have(20)
    assert play.slept[0] >= (seconds or 0)
    assert Counter(record.message for record in arrived) == Counter(
        record.message for record in expected(sent)
    )
    assert play.dead == []


@performed(Case.FAILING)
async def test_a_receiver_in_trouble_is_tried_again_until_it_is_well(stage: Stage) -> None:
    sent = many(20)
    async with playing(stage) as play:
        async with stage.failing():
            await play.put(sent)
            await play.outcome("retry")
        await play.settled()
        arrived = await stage.have(20)
        assert play.runner.health.state is not State.RETRYING
    assert {record.message for record in arrived} == {record.message for record in expected(sent)}
    assert play.requests("retry") == play.counted("retries_total")
    assert play.dead == []


@performed(Case.REFUSED)
async def test_a_refused_record_is_a_dead_letter_and_its_neighbours_arrive(stage: Stage) -> None:
    neighbours = noise(9, 100)
    more = "&batch_records=1" if stage.together else ""
    async with playing(stage, AT_ONCE + more) as play, stage.refusing() as poison:
        await play.put([batch([*neighbours[:4], poison, *neighbours[4:]])])
        await play.settled()
        arrived = await stage.have(9)
    assert sorted(record.message.encode() for record in arrived) == sorted(neighbours)
    [(message, why)] = play.dead
    assert message == poison
    assert why


@performed(Case.CUT)
async def test_a_connection_that_is_reset_repeats_one_batch_at_the_most(stage: Stage) -> None:
    sent = many(2_000)
    async with playing(stage, f"{AT_ONCE}&batch_records=500") as play:
        async with stage.cutting():
            await play.put(sent)
            await play.outcome("retry")
        await play.settled()
        arrived = await stage.have(2_000)
    assert {record.message for record in arrived} == {record.message for record in expected(sent)}
    assert len(arrived) <= 2_500
    assert play.dead == []


@performed(Case.ABSENT)
async def test_a_receiver_that_went_away_is_found_again(stage: Stage) -> None:
    async with playing(stage) as play:
        await play.put([batch([b"one"])])
        await play.settled()
        await stage.have(1)
        async with stage.absent():
            await play.put([batch([b"two"], of=container("db"))])  # another id: some know a repeat by it
            await play.outcome("retry")
            assert play.runner.health.last_error
        await play.settled()
        arrived = await stage.have(2)
    assert {record.message for record in arrived} == {"one", "two"}
    assert play.dead == []


@performed(Case.NAMELESS)
async def test_a_name_that_does_not_exist_is_tried_again(stage: Stage) -> None:
    async with stage.standing():
        url = stage.url.replace("127.0.0.1", "no-such-host.invalid")
        async with opened(parse_sink("it", url)) as sink:
            outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Retry)
    assert "no-such-host.invalid" in outcome.why


@performed(Case.CANCELLED)
async def test_cancelled_in_the_middle_it_is_whole_and_goes_on(stage: Stage) -> None:
    """What was under way is delivered again, as the runner does: each record is there."""
    async with stage.standing(), opened(stage.sink()) as sink:
        count = min(2_000, sink.limits.request_records or 2_000)
        sent = [batch(noise(count, 200)), batch([b"and on"], of=container("db"))]
        for turns in range(12):
            await cancelled_after(turns, sink.deliver(sent[:1]))
        stage.forgive()
        for each in sent:
            assert await sink.deliver([each]) == Delivered()
        await arrived(stage, {record.message for record in expected(sent)})


async def arrived(stage: Stage, wanted: set[str]) -> None:
    """Wait until all these are there, whatever else is."""
    count = len(wanted)
    async with asyncio.timeout(DEADLINE_S):
        while wanted - {record.message for record in await stage.have(count)}:
            count += 1
