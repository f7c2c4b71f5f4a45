"""NDJSON of whole columns is what one gets record by record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from agent.batch import Batch, Container, Stream
from agent.encode.ndjson import ndjson
from agent.level import Level
from tests.encode.batches import batches
from tests.receivers.received import read_line
from tests.receivers.sent import batch, expected


def naive(batch: Batch, row: int) -> dict[str, Any]:
    """The record as the contract describes it, absent values None or empty."""
    container = batch.container
    return {
        "timestamp": batch.rfc3339()[row].decode(),
        "stream": batch.stream.value,
        "message": batch.messages[row].decode("utf-8", errors="replace"),
        "truncated": row in batch.truncated,
        "tag": container.tag,
        "host": container.host,
        "container": {
            "id": container.id,
            "name": container.name,
            "image": container.image,
            "labels": container.labels,
            "env": container.env,
            "project": container.project,
            "service": container.service,
            "swarm": container.swarm,
            "kubernetes": container.kubernetes,
        },
        "id": batch.ids()[row].decode(),
    }


def present(record: dict[str, Any]) -> dict[str, Any]:
    """`record` without its absent values; an empty message is there."""
    kept = {key: present(value) if key == "container" else value for key, value in record.items()}
    return {key: value for key, value in kept.items() if value or key == "message"}


@given(batches())
def test_each_line_is_its_record_and_keys_keep_their_order(batch: Batch) -> None:
    lines = ndjson(batch).split(b"\n")
    assert lines.pop() == b""
    wanted = [present(naive(batch, row)) for row in range(len(batch))]
    assert [json.loads(line) for line in lines] == wanted
    assert [list(json.loads(line)) for line in lines] == [list(record) for record in wanted]
    assert [list(json.loads(line)["container"]) for line in lines] == [
        list(record["container"]) for record in wanted
    ]


@given(batches())
def test_messages_that_are_not_utf8_are_counted(batch: Batch) -> None:
    ndjson(batch)
    wrong = [
        message for message in batch.messages if message.decode("utf-8", errors="ignore").encode() != message
    ]
    assert len(batch.undecodable) == len(wrong)


def test_a_del_in_a_message_is_no_border() -> None:
    """DEL is what the encoder joins messages by."""
    sent = batch([b"a\x7fb", b"\x7f", b"c\xff\x7f"])
    assert [read_line(line) for line in ndjson(sent).splitlines()] == expected([sent])


def test_a_batch_is_encoded_once_for_all_sinks() -> None:
    sent = batch()
    assert ndjson(sent) is ndjson(sent)


def test_no_records_are_no_bytes() -> None:
    assert ndjson(batch([])) == b""


@pytest.mark.parametrize("stream", Stream)
def test_a_container_s_streams_do_not_mix(stream: Stream) -> None:
    """What is kept with the container is common to both of its streams."""
    one = batch([b"x"])
    other = batch([b"x"], of=one.container, stream=stream)
    assert read_line(ndjson(one)[:-1]).stream == "stdout"
    assert read_line(ndjson(other)[:-1]).stream == stream.value


def test_level_and_fields_stand_behind_the_message() -> None:
    sent = batch([b"x", b"y", b"z"], truncated=[0])
    sent.levels, sent.fields = bytes([Level.ERROR, 0, Level.INFO]), [b'{"a":{"b":1}}', b'{"c":2}', None]
    assert [read_line(line) for line in ndjson(sent).splitlines()] == expected([sent])
    assert b'"truncated":true,"level":"error","fields":{"a":{"b":1}},"tag":' in ndjson(sent)


def test_an_id_is_of_the_time_at_which_a_record_was_read() -> None:
    sent = batch([b"x", b"y"])
    sent.read_at = sent.timestamps
    sent.timestamps = [5, 4]
    assert [read_line(line) for line in ndjson(sent).splitlines()] == expected([sent])
    assert [record.timestamp_ns for record in map(read_line, ndjson(sent).splitlines())] == [5, 4]


def test_an_orchestrator_is_told_of_below_the_container() -> None:
    """After all that was there before it."""
    task = replace(
        Container("ab" * 32, "web", "nginx", tag="web", host="node"),
        swarm={"task": "web.1.x"},
        kubernetes={"pod": "p"},
    )
    [line] = ndjson(Batch(task, Stream.STDOUT, [1], [b"hello"])).splitlines()
    container = json.loads(line)["container"]
    assert list(container) == ["id", "name", "image", "swarm", "kubernetes"]
    assert (container["swarm"], container["kubernetes"]) == ({"task": "web.1.x"}, {"pod": "p"})
