"""A Forward message is what MessagePack's own decoder reads in it."""

from __future__ import annotations

import zlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.compress import compress
from agent.encode.forward import CHUNK_BYTES, chunks, entries
from agent.level import Level
from tests.receivers.forward import MOST_BYTES, Message, read_message, read_record
from tests.receivers.received import in_order
from tests.receivers.sent import batch, container, expected

ID = "0123456789abcdef" * 4


def read(data: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker(raw=False, object_pairs_hook=in_order, max_buffer_size=1 << 28)
    unpacker.feed(data)
    return list(unpacker)


def plain(**more: Any) -> Container:  # noqa: ANN401 - any field of a Container
    return Container(**{"id": ID, "name": "web", "image": "nginx", "tag": "t", "host": "node-1", **more})


@given(
    st.lists(st.tuples(st.integers(0, (1 << 32) * 10**9 - 1), st.binary(max_size=300)), max_size=6),
    st.sampled_from([0, 1, 31, 32, 255, 256, 65_535, 65_536]),
)
def test_each_entry_has_its_time_and_its_line(rows: list[tuple[int, bytes]], size: int) -> None:
    """`size`: where the head of a text changes."""
    rows = [*rows, (1_795_414_426_000_000_127, b"x" * size)]
    sent = Batch(container(), Stream.STDOUT, [stamp for stamp, _ in rows], [line for _, line in rows])
    got = [
        (time.code, int.from_bytes(time.data[:4], "big"), int.from_bytes(time.data[4:], "big"), record["log"])
        for time, record in read(entries(sent))
    ]
    assert got == [(0, stamp // 10**9, stamp % 10**9, line.decode(errors="replace")) for stamp, line in rows]


@pytest.mark.parametrize("stamp", [-1, (1 << 32) * 10**9, (1 << 63) - 1])
def test_a_time_that_an_event_time_cannot_hold_is_given_in_seconds(stamp: int) -> None:
    sent = Batch(container(), Stream.STDOUT, [stamp, 0], [b"far", b"near"])
    assert [time for time, _ in read(entries(sent))] == [stamp // 10**9, 0]


def test_keys_are_those_of_dockers_driver_and_ours() -> None:
    sent = Batch(plain(), Stream.STDERR, [1_795_414_426_489_633_114], [b"hello"])
    [(_, record)] = read(entries(sent))
    assert record == {
        "container_id": ID,
        "container_name": "/web",
        "source": "stderr",
        "log": "hello",
        "image": "nginx",
        "host": "node-1",
        "record_id": f"{ID[:20]}e1795414426489633114",
    }


def test_labels_and_variables_are_sent_flat_as_that_driver_does() -> None:
    """Theirs go before ours, as dashboards may know them; none takes the place of the record itself."""
    labels = {"team": "a", "image": "a label", "log": "no", "container_id": "no", "KEY": "label"}
    sent = Batch(
        plain(labels=labels, env={"KEY": "variable"}, project="shop"), Stream.STDOUT, [0], [b"hello"]
    )
    [(_, record)] = read(entries(sent))
    assert (record["team"], record["image"], record["KEY"]) == ("a", "a label", "variable")
    assert (record["log"], record["container_id"], record["project"]) == ("hello", ID, "shop")


def test_a_record_is_whole_and_one_that_was_cut_says_so() -> None:
    sent = batch(truncated=[1, 3])
    chunk = chunks([sent], lambda of: of.tag)[0][0]
    message = read_message(msgpack.unpackb(chunk.message(chunk.entries, "none", None)))
    records = [read_record(record) for record in message.records]
    assert [(each.message, each.timestamp_ns, each.truncated, each.id) for each in records] == [
        (each.message, each.timestamp_ns, each.truncated, each.id) for each in expected([sent])
    ]


def test_an_id_of_a_further_line_of_the_same_time_is_whole() -> None:
    sent = Batch(plain(), Stream.STDOUT, [5] * 3, [b"a", b"b", b"c"], ordinals=[0, 1, 100])
    assert [record["record_id"] for _, record in read(entries(sent))] == [
        f"{ID[:20]}o5{end}" for end in ("", "-1", "-100")
    ]


def test_what_is_not_utf8_is_replaced_and_counted() -> None:
    sent = batch([b"\xff", b"well"])
    assert [record["log"] for _, record in read(entries(sent))] == ["\ufffd", "well"]
    assert len(sent.undecodable) == 1


def test_a_message_has_one_tag_and_its_records_in_order() -> None:
    web, db = container("web"), container("db")
    sent = [batch([b"1"], of=web), batch([b"2"], of=db), batch([b"3", b"4"], of=web)]
    made, too_large = chunks(sent, lambda of: of.tag)
    assert [(chunk.tag, chunk.rows) for chunk in made] == [
        ("web", [range(1), range(2, 4)]),
        ("db", [range(1, 2)]),
    ]
    assert [record["log"] for _, record in read(made[0].entries)] == ["1", "3", "4"]
    assert too_large == []


@pytest.mark.parametrize("size", [10, 1000])
def test_chunks_keep_to_what_fluent_bit_takes(size: int) -> None:
    sent = [batch([b"x" * size] * 12_000), batch([b"y" * size] * 3)]
    made, too_large = chunks(sent, lambda _: "all")
    assert all(chunk.size <= CHUNK_BYTES < MOST_BYTES for chunk in made)
    assert sum(chunk.size for chunk in made) > 2 * CHUNK_BYTES * (size == 1000)
    assert [row for chunk in made for rows in chunk.rows for row in rows] == list(range(12_003))
    assert too_large == []


def test_a_record_larger_than_a_chunk_is_left_out_and_named() -> None:
    made, too_large = chunks([batch([b"a", b"x" * CHUNK_BYTES, b"b"]), batch([b"c"])], lambda _: "all")
    assert too_large == [1]
    assert [row for chunk in made for rows in chunk.rows for row in rows] == [0, 2, 3]
    assert [record["log"] for chunk in made for _, record in read(chunk.entries)] == ["a", "b", "c"]


@pytest.mark.parametrize("method", ["none", "gzip"])
def test_a_message_says_how_many_by_what_id_and_how_compressed(method: str) -> None:
    [chunk] = chunks([batch()], lambda _: "docker.web")[0]
    data = chunk.message(compress(chunk.entries, method), method, "aWRpZGlkaWRpZGlkaWRpZA==")
    tag, packed, options = msgpack.unpackb(data)
    assert (tag, options.pop("compressed", "none")) == ("docker.web", method)
    assert options == {"size": 5, "chunk": "aWRpZGlkaWRpZGlkaWRpZA=="}
    assert (zlib.decompress(packed, wbits=31) if method == "gzip" else packed) == chunk.entries
    assert isinstance(read_message(msgpack.unpackb(data)), Message)


def test_nothing_is_no_message() -> None:
    assert chunks([], lambda of: of.tag) == ([], [])
    assert entries(batch([])) == b""


def test_level_and_parsed_fields_have_keys_of_their_own() -> None:
    of = plain(labels={"level": "of the label", "fields": "too"})
    sent = batch([b"x", b"y", b"z"], of=of, truncated=[1])
    sent.levels = bytes([Level.NOTICE, Level.INFO, 0])
    sent.fields = [b'{"status":500,"o":{"p":[true]}}', None, None]
    first, second, third = [record for _, record in read(entries(sent))]
    assert (first["level"], first["fields"]) == ("notice", {"status": 500, "o": {"p": [True]}})
    assert (second["level"], second["fields"], second["truncated"]) == ("info", "too", "true")
    assert (third["level"], third["fields"]) == ("of the label", "too")
