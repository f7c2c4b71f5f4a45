"""A push is what the protobuf runtime reads in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream, rfc3339
from agent.encode.loki import DEFAULT_LABELS, label_name, push_request
from agent.level import Level
from tests.receivers.loki import PushRequest, read_entry, read_labels
from tests.receivers.sent import START_NS, batch, container, expected


def read(data: bytes) -> Any:  # noqa: ANN401 - a class the protobuf runtime makes
    push = PushRequest()
    push.ParseFromString(data)
    return push


@given(
    st.lists(st.tuples(st.integers(0, 4 * 10**18), st.binary(max_size=300)), max_size=6),
    st.integers(0, 20_000),
)
def test_each_entry_has_its_time_and_its_line(rows: list[tuple[int, bytes]], long: int) -> None:
    """`long`: varints of one to three bytes."""
    rows = [*rows, (1_795_414_426_000_000_127, b"x" * long)]
    sent = Batch(container(), Stream.STDOUT, [stamp for stamp, _ in rows], [line for _, line in rows])
    (stream,) = read(push_request([sent])).streams
    got = [(entry.timestamp.seconds * 10**9 + entry.timestamp.nanos, entry.line) for entry in stream.entries]
    assert got == [(stamp, line.decode("utf-8", errors="replace")) for stamp, line in rows]


def test_the_bytes_are_those_the_protobuf_runtime_would_write() -> None:
    """Save for empty lines, which it leaves out."""
    data = push_request([batch([b"x" * size for size in (1, 127, 128, 20_000)])])
    assert read(data).SerializeToString(deterministic=True) == data


def test_labels_are_few_and_all_else_is_metadata() -> None:
    sent = batch([b"x"], truncated=[0])
    (stream,) = read(push_request([sent])).streams
    labels = read_labels(stream.labels)
    assert labels == {
        "host": "node-1",
        "project": "shop",
        "service": "web-service",
        "container": "web",
        "stream": "stdout",
        "service_name": "web-service",
    }
    assert {pair.name: pair.value for pair in stream.entries[0].structuredMetadata} == {
        "container_id": sent.container.id,
        "image": "nginx:1.27",
        "tag": "web",
        "com_example_team": 'the "a" team',
        "truncated": "true",
        "record_id": expected([sent])[0].id,
    }


@pytest.mark.parametrize(
    "labels", [DEFAULT_LABELS, ("host",), ("com.example.team", "image"), ("tag", "absent")]
)
def test_whatever_the_labels_every_record_is_whole(labels: tuple[str, ...]) -> None:
    sent = batch()
    (stream,) = read(push_request([sent], labels)).streams
    names = read_labels(stream.labels)
    assert names.keys() - {"service_name"} == {label_name(name) for name in labels if name != "absent"}
    records = [read_entry(names, entry) for entry in stream.entries]
    assert [(record.id, record.host, record.image) for record in records] == [
        (record.id, record.host, record.image) for record in expected([sent])
    ]
    assert {record.labels["com_example_team"] for record in records} == {'the "a" team'}


def test_batches_of_one_stream_go_together_in_their_order() -> None:
    web, db = container("web"), container("db")
    sent = [
        batch([b"1"], of=web),
        batch([b"2"], of=db),
        batch([b"3"], of=web),
        batch([b"4"], of=web, stream=Stream.STDERR),
    ]
    streams = read(push_request(sent)).streams
    assert [[entry.line for entry in stream.entries] for stream in streams] == [["1", "3"], ["2"], ["4"]]


def test_values_of_labels_are_escaped() -> None:
    odd = Container(id="0" * 64, name='a"b\\c\n\x01é', image="i", tag="t", host="h")
    (stream,) = read(push_request([batch([b"x"], of=odd)])).streams
    assert read_labels(stream.labels)["container"] == odd.name
    assert read_labels(stream.labels)["service_name"] == odd.name


@pytest.mark.parametrize(
    ("name", "allowed"), [("com.example/team", "com_example_team"), ("1st", "_1st"), ("ok", "ok")]
)
def test_names_of_labels_are_made_to_fit(name: str, allowed: str) -> None:
    assert label_name(name) == allowed


def test_nothing_is_an_empty_push() -> None:
    assert push_request([]) == b""


def metadata(data: bytes) -> list[dict[str, str]]:
    (stream,) = read(data).streams
    return [{pair.name: pair.value for pair in entry.structuredMetadata} for entry in stream.entries]


def test_level_and_parsed_fields_are_metadata_of_an_entry_and_never_labels() -> None:
    sent = batch([b"x", b"y", b"z"], truncated=[1])
    labels = read(push_request([sent])).streams[0].labels
    sent.levels = bytes([Level.WARNING, Level.INFO, 0])
    sent.fields = [b'{"status":500,"http.path":"/","host":"other","level":30}', b'{"ok":true}', None]
    assert read(push_request([sent])).streams[0].labels == labels
    own = [
        {name: pairs[name] for name in pairs if name not in third and name != "record_id"}
        for *pair, third in [metadata(push_request([sent]))]
        for pairs in pair
    ]
    assert own == [
        {"level": "warning", "status": "500", "http_path": "/", "fields_host": "other", "fields_level": "30"},
        {"level": "info", "ok": "true", "truncated": "true"},
    ]


def test_a_known_level_goes_before_a_label_of_that_name() -> None:
    of = replace(container(), labels={"level": "of the label"})
    sent = batch([b"x", b"y"], of=of)
    assert [found["level"] for found in metadata(push_request([sent]))] == ["of the label"] * 2
    sent.levels = bytes([Level.DEBUG, 0])
    assert [found["level"] for found in metadata(push_request([sent]))] == ["debug", "of the label"]
    assert "level" not in metadata(push_request([sent], [*DEFAULT_LABELS, "level"]))[0]


def test_a_container_of_many_labels_leaves_less_room_for_fields() -> None:
    """Loki takes 128 names with an entry."""
    of = replace(container(), labels={f"label{place}": "x" for place in range(100)})
    sent = batch([b"x"], of=of)
    sent.levels, sent.fields = bytes([Level.INFO]), [b"{%b}" % b",".join(b'"n%d":1' % at for at in range(99))]
    (found,) = metadata(push_request([sent]))
    assert 120 <= len(found) <= 128
    assert {"level", "n0", "label99"} <= found.keys()


def test_a_time_of_its_own_counts_where_loki_would_take_it() -> None:
    """Else the whole push would suffer for it: it is filed when it was read, and says what it said."""
    minute = 60 * 10**9
    own = [0, -44 * minute, 4 * minute, -46 * minute, 6 * minute, -(1 << 60), 1 << 60]
    sent = batch([b"x"] * len(own), start_ns=START_NS)
    sent.read_at = sent.timestamps
    sent.timestamps = [read + away for read, away in zip(sent.read_at, own, strict=True)]
    (stream,) = read(push_request([sent])).streams
    times = [entry.timestamp.seconds * 10**9 + entry.timestamp.nanos for entry in stream.entries]
    assert times == [*sent.timestamps[:3], *sent.read_at[3:]]
    assert [found.get("timestamp") for found in metadata(push_request([sent]))] == [
        *[None] * 3,
        *(rfc3339(stamp).decode() for stamp in sent.timestamps[3:]),
    ]
    assert [found["record_id"] for found in metadata(push_request([sent]))] == [
        each.decode() for each in sent.ids()
    ]
