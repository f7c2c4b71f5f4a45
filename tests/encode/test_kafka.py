"""Record sets, read by aiokafka, which did not write them."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch
from agent.encode.kafka import CODECS, OVERHEAD_BYTES, Column, RecordSet, record_sets
from agent.level import Level
from tests.encode.batches import batches
from tests.receivers.received import read_line
from tests.receivers.sent import START_NS, batch, container, expected

MOST = 1_000_000
HOUR_NS = 3600 * 10**9


def read(data: bytes) -> tuple[Any, list[Any]]:
    """The one set in these bytes, and its records."""
    sets = MemoryRecords(data)
    found = sets.next_batch()
    assert not sets.has_next()
    assert found.validate_crc()
    return found, list(found)


def sets_of(*parts: Batch, most: int = MOST) -> list[RecordSet]:
    firsts = [sum(map(len, parts[:number])) for number in range(len(parts))]
    return list(record_sets(Column.of(list(zip(firsts, parts, strict=True))), most))


@given(st.lists(batches(), max_size=3), st.integers(100, 2_000))
def test_every_record_is_in_one_set_with_key_time_and_id(parts: list[Batch], most: int) -> None:
    made = sets_of(*parts, most=most)
    assert [row for each in made for row in each.rows] == list(range(sum(map(len, parts))))
    records = [record for each in made for record in read(each.framed(1, 0, 0))[1]]
    assert [record.key.decode() for record in records] == [
        part.container.id for part in parts for _ in range(len(part))
    ]
    assert [record.timestamp for record in records] == [
        stamp // 1_000_000 for part in parts for stamp in part.timestamps
    ]
    ids = [name for part in parts for name in part.ids()]
    assert [record.headers for record in records] == [[("id", name)] for name in ids]
    assert [read_line(record.value).id for record in records] == [name.decode() for name in ids]
    assert [(each.first_id, each.last_id) for each in made] == [
        (ids[each.rows[0]], ids[each.rows[-1]]) for each in made
    ]


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=40), st.integers(200, 2_000))
def test_a_set_is_no_longer_than_it_may_be_unless_it_is_one_record(column: list[bytes], most: int) -> None:
    made = sets_of(batch(column), most=most)
    for each in made:
        data = each.framed(-1, -1, -1)
        assert len(data) == each.size
        assert len(data) <= most or len(each) == 1
        assert each.size == OVERHEAD_BYTES + len(each.data)


@pytest.mark.parametrize("method", CODECS)
async def test_each_compression_is_read_again(method: str) -> None:
    sent = [batch([b"x" * 1_000] * 500), batch([b"y"], of=container("db"))]
    [made] = sets_of(*sent)
    packed = await made.compressed(method)
    found, records = read(packed.framed(7, 3, 11))
    assert (found.producer_id, found.producer_epoch, found.base_sequence) == (7, 3, 11)
    assert found.compression_type == CODECS[method]
    assert [read_line(record.value) for record in records] == expected(sent)
    assert (packed.size < made.size) == (method != "none")


def test_times_may_go_back() -> None:
    sent = batch([b"a", b"b", b"c"])
    sent.timestamps = [2_000_000_000, 1_000_000, (1 << 63) - 1]
    [made] = sets_of(sent)
    found, records = read(made.framed(-1, -1, -1))
    assert [record.timestamp for record in records] == [2_000, 1, ((1 << 63) - 1) // 1_000_000]
    assert (found.first_timestamp, found.max_timestamp) == (2_000, ((1 << 63) - 1) // 1_000_000)


def test_nothing_makes_no_set() -> None:
    assert sets_of() == sets_of(batch([])) == []


def test_a_time_of_its_own_is_the_record_s_unless_it_is_far_away() -> None:
    """A broker would refuse the whole set, or keep it for ever."""
    sent = batch([b"x", b"y", b"z"])
    sent.read_at = sent.timestamps
    sent.timestamps = [START_NS - HOUR_NS, START_NS + HOUR_NS, 0]
    [made] = sets_of(sent)
    found, records = read(made.framed(1, 0, 0))
    times = [sent.timestamps[0] // 1_000_000, *(stamp // 1_000_000 for stamp in sent.read_at[1:])]
    assert [record.timestamp for record in records] == times
    assert (found.first_timestamp, found.max_timestamp) == (times[0], max(times))
    assert [read_line(record.value) for record in records] == expected([sent])


def test_a_known_level_is_a_header() -> None:
    sent = batch([b"x", b"y", b"z"])
    sent.levels = bytes([Level.ERROR, 0, Level.TRACE])
    [made] = sets_of(sent)
    _, records = read(made.framed(1, 0, 0))
    assert [dict(record.headers).get("level") for record in records] == [b"error", None, b"trace"]
    assert [dict(record.headers)["id"] for record in records] == sent.ids()
    assert [read_line(record.value) for record in records] == expected([sent])
