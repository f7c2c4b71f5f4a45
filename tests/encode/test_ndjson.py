"""NDJSON of whole columns is what one gets record by record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.ndjson import ndjson
from tests.receivers.received import read_line
from tests.receivers.sent import batch, expected

STAMPS = st.integers(0, 4_000_000_000 * 10**9)
AWKWARD = st.sampled_from(
    [b"", b"\x7f", b'"\\', b"\n\r\x00", b"\xff\xfe", b"\xe2\x82", b"\xac", "\u2028€😀".encode()]
)
MESSAGES = st.one_of(st.binary(max_size=30), AWKWARD, st.text(max_size=20).map(str.encode))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch there can be."""
    messages = draw(st.lists(MESSAGES, max_size=8))
    rows = len(messages)
    column = st.lists(STAMPS, min_size=rows, max_size=rows)
    places = st.lists(st.integers(0, 3), min_size=rows, max_size=rows)
    container = Container(
        id="0123456789abcdef" * 4,
        name=draw(WORDS.filter(bool)),
        image="image",
        tag=draw(WORDS.filter(bool)),
        host="host",
        labels=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        env=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        project=draw(st.none() | WORDS.filter(bool)),
        service=draw(st.none() | WORDS.filter(bool)),
    )
    return Batch(
        container=container,
        stream=draw(st.sampled_from(Stream)),
        timestamps=draw(column),
        messages=messages,
        ordinals=draw(st.none() | places),
        truncated=frozenset(draw(st.sets(st.integers(0, rows - 1)))) if rows else frozenset(),
    )


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
    assert batch.undecodable == len(wrong)


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
