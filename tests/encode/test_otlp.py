"""What opentelemetry-proto reads in a request, protobuf or JSON, is what was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given

import agent
from agent.batch import Batch, Container, Stream
from agent.encode import otlp, otlp_json
from agent.level import Level
from tests.encode import shown
from tests.encode.batches import batches
from tests.receivers.otlp import JSON, PROTOBUF, decode
from tests.receivers.sent import START_NS, batch, container, expected

OBSERVED_NS = START_NS + 5
both = pytest.mark.parametrize(
    ("kind", "write"),
    [(PROTOBUF, otlp.logs_request), (JSON, otlp_json.logs_request)],
    ids=["protobuf", "json"],
)
Write = Callable[..., bytes]


def lines(kind: str, body: bytes) -> list[tuple[int, str, dict[str, object]]]:
    """Time, body and attributes of each record; those of the resource among them."""
    return [
        (
            record.time_unix_nano,
            record.body.string_value,
            {
                pair.key: pair.value.string_value
                or pair.value.bool_value
                or [each.string_value for each in pair.value.array_value.values]
                for pair in [*logs.resource.attributes, *record.attributes]
            },
        )
        for logs in decode(kind, body).resource_logs
        for scoped in logs.scope_logs
        for record in scoped.log_records
    ]


@both
@given(sent=batches())
def test_each_record_has_its_time_line_id_and_metadata(kind: str, write: Write, sent: Batch) -> None:
    got = lines(kind, write([sent], observed_ns=OBSERVED_NS))
    assert [(time, body) for time, body, _ in got] == [
        (stamp, message.decode(errors="replace"))
        for stamp, message in zip(sent.timestamps, sent.messages, strict=True)
    ]
    assert [attributes["log.record.uid"] for _, _, attributes in got] == [
        each.decode() for each in sent.ids()
    ]
    for row, (_, _, attributes) in enumerate(got):
        assert attributes["log.iostream"] == sent.stream.value
        assert attributes.get("dockferry.truncated") == (True if row in sent.truncated else None)
        assert attributes["service.name"] == sent.container.service or sent.container.name
        assert attributes.get("service.namespace") == sent.container.project
        for name, value in sent.container.labels.items():
            assert attributes[f"container.label.{name}"] == value or not value
        for name, value in sent.container.env.items():
            assert attributes[f"process.environment_variable.{name}"] == value or not value


@both
@pytest.mark.parametrize("sizes", [[0, 1, 2], range(50, 250), [16_100, 16_383, 16_384, 2_100_000]])
def test_lengths_of_any_size_are_right(kind: str, write: Write, sizes: Sequence[int]) -> None:
    """The lengths that contain others have varints of one to four bytes."""
    sent = batch([b"x" * size for size in sizes])
    got = lines(kind, write([sent], observed_ns=OBSERVED_NS))
    assert [len(body) for _, body, _ in got] == list(sizes)


def test_the_bytes_are_those_the_protobuf_runtime_would_write() -> None:
    data = otlp.logs_request([batch()], observed_ns=OBSERVED_NS)
    assert decode(PROTOBUF, data).SerializeToString(deterministic=True) == data


@both
def test_the_resource_is_said_once_for_each_container(kind: str, write: Write) -> None:
    web, db = container("web"), container("db")
    sent = [
        batch([b"1"], of=web),
        batch([b"2"], of=db),
        batch([b"3"], of=web, stream=Stream.STDERR),
    ]
    logs = decode(kind, write(sent, observed_ns=OBSERVED_NS)).resource_logs
    assert [[record.body.string_value for record in each.scope_logs[0].log_records] for each in logs] == [
        ["1", "3"],
        ["2"],
    ]
    assert {record.observed_time_unix_nano for each in logs for record in each.scope_logs[0].log_records} == {
        OBSERVED_NS
    }


@both
def test_the_names_are_those_of_the_semantic_conventions(kind: str, write: Write) -> None:
    of = replace(container(), image_id="sha256:0123", env={"TEAM": "shop"})
    [(_, _, attributes)] = lines(
        kind,
        write([batch([b"x"], of=of)], (("deployment.environment.name", "prod"),), observed_ns=OBSERVED_NS),
    )
    [record] = expected([batch([b"x"])])
    assert attributes == {
        "service.name": "web-service",
        "service.namespace": "shop",
        "host.name": "node-1",
        "container.id": of.id,
        "container.name": "web",
        "container.runtime.name": "docker",
        "container.image.name": "nginx",
        "container.image.tags": ["1.27"],
        "container.image.id": "sha256:0123",
        "container.label.com.example.team": 'the "a" team',
        "process.environment_variable.TEAM": "shop",
        "deployment.environment.name": "prod",
        "dockferry.tag": "web",
        "log.iostream": "stdout",
        "log.record.uid": record.id,
    }


@both
def test_the_user_s_attributes_go_before_the_container_s(kind: str, write: Write) -> None:
    """In one sink, and not in another of the same container."""
    of, own = container(), (("service.name", "mine"),)
    [(_, _, attributes)] = lines(kind, write([batch([b"x"], of=of)], own, observed_ns=OBSERVED_NS))
    assert attributes["service.name"] == "mine"
    [(_, _, attributes)] = lines(kind, write([batch([b"x"], of=of)], observed_ns=OBSERVED_NS))
    assert attributes["service.name"] == "web-service"


@both
def test_without_a_service_the_container_s_name_is_one(kind: str, write: Write) -> None:
    lone = Container(id="0" * 64, name="lone", image="i", tag="t", host="h")
    [(_, _, attributes)] = lines(kind, write([batch([b"x"], of=lone)], observed_ns=OBSERVED_NS))
    assert attributes["service.name"] == "lone"
    assert not {"service.namespace", "container.image.tags", "container.image.id"} & attributes.keys()


@both
def test_no_records_are_no_resources(kind: str, write: Write) -> None:
    assert not decode(kind, write([], observed_ns=OBSERVED_NS)).resource_logs
    assert not lines(kind, write([batch([])], observed_ns=OBSERVED_NS))


def test_the_request_that_the_docs_show_is_what_is_sent() -> None:
    body = otlp_json.logs_request([shown.record()], observed_ns=1_795_430_878_920_000_000)
    assert body + b"\n" == shown.block("otlp.md").replace(b"0.1.0", agent.__version__.encode())


@both
def test_a_level_is_the_severity_and_parsed_fields_are_attributes(kind: str, write: Write) -> None:
    sent = batch([b"x", b"y", b"z"], truncated=[1])
    sent.levels = bytes([Level.ERROR, Level.CRITICAL, 0])
    sent.fields = [b'{"n":-5,"f":0.5,"b":true,"o":{"p":"q"},"log.iostream":"no","l":[1]}', b'{"n":1}', None]
    records = decode(kind, write([sent], observed_ns=OBSERVED_NS)).resource_logs[0].scope_logs[0].log_records
    assert [(record.severity_number, record.severity_text) for record in records] == [
        (17, "error"),
        (21, "critical"),
        (0, ""),
    ]
    first, second, third = [{pair.key: pair.value for pair in record.attributes} for record in records]
    assert first.keys() - third.keys() == {"n", "f", "b", "o.p", "fields.log.iostream", "l"}
    assert (first["n"].int_value, first["f"].double_value, first["b"].bool_value) == (-5, 0.5, True)
    assert (first["o.p"].string_value, first["l"].string_value) == ("q", "[1]")
    assert second.keys() - third.keys() == {"n", "dockferry.truncated"}


TRACE, SPAN = "0AF7651916CD43DD8448EB211C80319C", "b7ad6b7169203331"


@both
@pytest.mark.parametrize(
    ("fields", "ids", "left"),
    [
        ({"trace_id": TRACE, "span_id": SPAN, "a": 1}, (TRACE.lower(), SPAN), {"a"}),
        ({"traceId": TRACE, "spanId": SPAN}, (TRACE.lower(), SPAN), set()),
        ({"trace": {"id": TRACE}, "span": {"id": SPAN}}, (TRACE.lower(), SPAN), set()),
        ({"trace_id": "0" * 32, "span_id": SPAN[1:]}, ("", ""), {"trace_id", "span_id"}),
        ({"trace_id": "\u0660" * 32, "span_id": 5}, ("", ""), {"trace_id", "span_id"}),
        ({"trace_id": "not an id", "traceId": TRACE}, (TRACE.lower(), ""), {"trace_id"}),
    ],
)
def test_ids_of_a_trace_are_the_record_s_when_they_are_some(
    kind: str, write: Write, fields: dict[str, object], ids: tuple[str, str], left: set[str]
) -> None:
    sent = batch([b"x"])
    sent.fields = [json.dumps(fields).encode()]
    [record] = decode(kind, write([sent], observed_ns=OBSERVED_NS)).resource_logs[0].scope_logs[0].log_records
    assert (record.trace_id.hex(), record.span_id.hex()) == ids
    assert {pair.key for pair in record.attributes} == left | {"log.iostream", "log.record.uid"}
