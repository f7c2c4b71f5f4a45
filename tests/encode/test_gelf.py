"""A GELF message is what JSON and Graylog's rules read in it; its chunks are the message again."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.gelf import CHUNKS, datagrams, field_name, messages
from agent.level import Level
from tests.receivers.gelf import GelfUdp, read_message
from tests.receivers.sent import START_NS, batch, container, expected


@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(max_size=300)), max_size=6))
def test_each_message_has_its_time_to_the_nanosecond_and_its_text(rows: list[tuple[int, bytes]]) -> None:
    sent = Batch(container(), Stream.STDERR, [stamp for stamp, _ in rows], [text for _, text in rows])
    got = [read_message(message) for message in messages(sent)]
    assert [(each.timestamp_ns, each.id, each.stream) for each in got] == [
        (each.timestamp_ns, each.id, "stderr") for each in expected([sent])
    ]
    for each, text in zip(got, sent.messages, strict=True):
        blank = not text.strip(bytes(range(33)))
        assert each.message == ("-" if blank else text.decode(errors="replace"))


def test_the_fields_are_those_of_docker_s_driver_and_ours() -> None:
    sent = Batch(
        Container(
            id="0" * 64,
            name="a",
            image="i:1",
            tag="t",
            host="h",
            image_id="sha256:1",
            labels={"com.example/team": "x", "id": "5", "tag": "no", "_mine": "y"},
            env={"MODE": "", "PATH": "/bin"},
            service="s",
        ),
        Stream.STDOUT,
        [START_NS],
        [b"hello"],
        truncated=frozenset([0]),
    )
    (message,) = messages(sent)
    assert b'"timestamp":1795414426.489633114,' in message
    assert json.loads(message) == {
        "version": "1.1",
        "host": "h",
        "level": 6,
        "timestamp": pytest.approx(1795414426.489633),
        "short_message": "hello",
        "_container_id": "0" * 64,
        "_container_name": "a",
        "_image_id": "sha256:1",
        "_image_name": "i:1",
        "_tag": "t",
        "_stream": "stdout",
        "_service": "s",
        "_com.example_team": "x",
        "_id_": "5",
        "_mine": "y",
        "_PATH": "/bin",
        "_truncated": "true",
        "_record_id": f"{'0' * 20}o{START_NS}",
    }


@pytest.mark.parametrize("text", [b"", b" \t\r\n", b"\0\x1f"])
def test_a_message_without_text_gets_a_dash_as_graylog_drops_it_otherwise(text: bytes) -> None:
    assert read_message(messages(batch([text]))[0]).message == "-"


@pytest.mark.parametrize(
    ("name", "field"),
    [("a.b-c_d", "_a.b-c_d"), ("é/ü", "___"), ("_x", "_x"), ("id", "_id_"), ("_id", "_id_")],
)
def test_names_of_labels_are_made_to_fit(name: str, field: str) -> None:
    assert field_name(name) == field


@pytest.mark.parametrize("method", ["gzip", "zlib", "none"])
@pytest.mark.parametrize("size", [100, 1420 - 437, 2_000, 100_000])
def test_a_message_comes_out_of_its_datagrams(method: str, size: int) -> None:
    (message,) = messages(batch([random.Random(size).randbytes(size).hex().encode()[:size]]))
    pieces = datagrams(message, 1420, method)
    assert pieces is not None
    receiver = GelfUdp()
    random.Random(size).shuffle(pieces)  # UDP keeps no order
    (record,) = [record for piece in pieces for record in receiver.read(piece)]
    assert record == read_message(message)
    assert (len(pieces) == 1) == (len(pieces[0]) < 1420 and receiver.chunked == 0)


def test_one_that_fits_is_not_compressed() -> None:
    (message,) = messages(batch([b"x" * 500]))
    assert datagrams(message, len(message), "gzip") == [message]


def test_chunks_of_two_messages_are_told_apart() -> None:
    message = messages(batch([b"x" * 5000]))[0]
    one, two = datagrams(message, 1420, "none"), datagrams(message, 1420, "none")
    assert one is not None
    assert two is not None
    assert one[0][2:10] != two[0][2:10]


def test_more_chunks_than_graylog_takes_are_none_at_all() -> None:
    room = 1420 - 12
    assert len(datagrams(b"x" * (CHUNKS * room), 1420, "none") or ()) == CHUNKS
    assert datagrams(b"x" * (CHUNKS * room + 1), 1420, "none") is None


def test_what_is_not_utf8_is_counted() -> None:
    sent = batch([b"fine", b"\xff"])
    messages(sent)
    assert len(sent.undecodable) == 1


def test_a_level_is_its_severity_and_parsed_fields_are_additional_ones() -> None:
    sent = batch([b"x", b"y"], stream=Stream.STDERR)
    sent.levels = bytes([Level.TRACE, 0])
    sent.fields = [b'{"status":500,"http":{"path":"/a b"},"ok":true,"level":"x","id":7,"tag":"t"}', None]
    first, second = map(json.loads, messages(sent))
    assert (first["level"], second["level"]) == (7, 3)
    assert {name: first[name] for name in first.keys() - second.keys()} == {
        "_status": 500,
        "_http.path": "/a b",
        "_ok": "true",
        "_fields.level": "x",
        "_id_": 7,
        "_fields.tag": "t",
    }
