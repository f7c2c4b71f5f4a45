"""ClickHouse besides: a table that is not there, and every column with what is hardest in it."""

from __future__ import annotations

import logging

import pytest

from agent.sinks.health import State
from tests.contract.cases import many
from tests.contract.play import playing
from tests.contract.stages.clickhouse import ClickHouseStage
from tests.receivers.received import Received
from tests.receivers.sent import START_NS, batch, expected

of_clickhouse = pytest.mark.parametrize("stage", [(ClickHouseStage, {})], indirect=True)


@of_clickhouse
async def test_a_table_that_is_missing_is_told_and_the_records_wait(
    stage: ClickHouseStage, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(stage) as play:
        stage.server.ask(f"RENAME TABLE {stage.table} TO away")
        await play.put(many(20))
        await play.until(lambda: len(play.slept) >= 3)
        assert play.runner.health.state is State.HELD
        stage.server.ask(f"RENAME TABLE away TO {stage.table}")
        await play.settled()
        assert len(await stage.have(20)) == 20
    [line] = [line.message for line in caplog.records if line.levelno == logging.ERROR]
    assert f"Table default.{stage.table} doesn't exist" in line
    assert play.dead == []


@of_clickhouse
async def test_no_character_and_no_nanosecond_is_lost(stage: ClickHouseStage) -> None:
    strange = [bytes(range(256)), b"\x00", "\\\"'`;-- ü € 😀 \u2028".encode(), b"\xff\xfe"]
    sent = [batch(strange, start_ns=START_NS + 1), batch([b"the first"], start_ns=1)]
    async with playing(stage) as play:
        await play.put(sent)
        await play.settled()
        arrived = await stage.have(5)
    assert sorted(arrived, key=_time) == sorted(map(stage.kept, expected(sent)), key=_time)


def _time(record: Received | None) -> int:
    assert record is not None
    return record.timestamp_ns
