"""What every sink delivers: all of it, once, in order, with its metadata, in requests of the right size."""

from __future__ import annotations

from collections import Counter

from agent.sinks.base import Delivered
from tests.contract.cases import in_order, many, parsed, several, to_arrive
from tests.contract.play import AT_ONCE, opened, playing
from tests.contract.stage import Case, Stage, performed
from tests.receivers.sent import batch, container, expected

NO_BOUND = "batch_records=1000000&batch_bytes=1GiB"


@performed(Case.DELIVERS)
async def test_every_record_arrives_once_in_order(stage: Stage) -> None:
    sent = many(2_000)
    async with playing(stage, f"{AT_ONCE}&batch_records=300") as play:
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(2_000)
    assert Counter(record.message for record in arrived) == Counter(
        record.message for record in expected(sent)
    )
    assert in_order(arrived, sent)
    assert play.dead == []


@performed(Case.MAPPED)
async def test_a_record_is_mapped_with_its_metadata(stage: Stage) -> None:
    sent = several()
    wanted = to_arrive(stage, sent)
    async with playing(stage) as play:
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(len(wanted))
    assert sorted(arrived, key=str) == sorted(wanted, key=str)
    assert len(wanted) + len(play.dead) == len(expected(sent))
    assert all(why for _, why in play.dead)


@performed(Case.PARSED)
async def test_level_and_fields_arrive(stage: Stage) -> None:
    """Where the receiver looks for them; of records that have none nothing is said."""
    sent = parsed()
    wanted = to_arrive(stage, sent)
    async with playing(stage) as play:
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(len(wanted))
    assert sorted(arrived, key=str) == sorted(wanted, key=str)
    assert play.dead == []


@performed(Case.LIMIT)
async def test_no_request_has_more_records_than_configured(stage: Stage) -> None:
    async with playing(stage, f"{AT_ONCE}&batch_records=100") as play:
        await play.put(many(250))
        await play.settled()
        await stage.have(250)
    assert play.requests("delivered") >= 3


@performed(Case.LIMIT)
async def test_no_request_is_larger_than_the_protocol_allows(stage: Stage) -> None:
    """Whatever is configured: the receiver finds nothing too large, and no fault."""
    async with playing(stage, f"{AT_ONCE}&{NO_BOUND}") as play:
        limits = play.sink.limits
        records = min(limits.request_records or 1_000, 10_000) * 5 // 2
        size = 200 if limits.request_bytes is None else max(200, limits.request_bytes * 5 // 2 // records)
        sent = many(records, size=min(size, 8_000))
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(records)
    assert Counter(record.message for record in arrived) == Counter(
        record.message for record in expected(sent)
    )
    assert play.requests("too_large") == play.requests("refused") == 0
    assert play.dead == []


@performed(Case.SPLIT)
async def test_a_request_that_is_too_large_is_split(stage: Stage) -> None:
    sent = many(16, size=4_000, each=8)
    async with playing(stage) as play, stage.shrunk(20_000):
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(16)
    assert Counter(record.message for record in arrived) == Counter(
        record.message for record in expected(sent)
    )
    assert play.requests("too_large") > 0
    assert play.dead == []


@performed(Case.UTF8)
async def test_what_is_not_utf8_is_counted(stage: Stage) -> None:
    async with playing(stage) as play:
        await play.put(several())
        await play.settled()
    assert play.counted("undecodable_records_total") == 1


@performed(Case.STRANGE)
async def test_the_strangest_message_arrives_or_is_refused_with_a_reason(stage: Stage) -> None:
    """A line of a megabyte, every byte there is, NUL alone, half a surrogate pair, times at both ends."""
    sent = [
        batch([b"neighbour 1", b"x" * (1 << 20), bytes(range(256)), b"\x00", b"neighbour 2"]),
        batch([b"\xed\xa0\x80 half", b"\x1b[2J\r\n\x7f\xe2\x80\xa8"], of=container("db")),
        batch([b"the first"], start_ns=1),
        batch([b"the last"], start_ns=(1 << 63) - 1),
        batch([b"of a strange name"], of=container("..")),
    ]
    async with playing(stage, f"{AT_ONCE}&batch_records=1") as play:
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(10 - len(play.dead))
    assert len(arrived) + len(play.dead) == 10
    assert all(why for _, why in play.dead)
    assert {"neighbour 1", "neighbour 2"} <= {record.message for record in arrived}


@performed(Case.PROBED)
async def test_a_probe_says_well_and_leaves_no_record(stage: Stage) -> None:
    async with stage.standing(), opened(stage.sink()) as sink:
        assert await sink.probe() == Delivered()
        assert await sink.deliver([batch([b"after"])]) == Delivered()
        assert [record.message for record in await stage.have(1)] == ["after"]
