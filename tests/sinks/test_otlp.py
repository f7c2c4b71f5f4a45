"""What OTLP/HTTP demands beyond HTTP: what may be sent again, and what a partial success is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from agent.sinks.otlp import OtlpSink
from agent.transport.http import Reply
from tests.contract.play import opened
from tests.receivers.otlp import JSON, PROTOBUF, OtlpReceiver, status
from tests.receivers.sent import batch

ENCODINGS = pytest.mark.parametrize("encoding", ["protobuf", "json"])


def sink(url: str) -> OtlpSink:
    made = parse_sink("it", url)
    assert isinstance(made, OtlpSink)
    return made


@contextlib.asynccontextmanager
async def talking(more: str = "encoding=protobuf") -> AsyncIterator[tuple[OtlpReceiver, OtlpSink]]:
    async with (
        OtlpReceiver().listening() as receiver,
        opened(parse_sink("it", f"otlp+http://127.0.0.1:{receiver.port}?{more}")) as made,
    ):
        assert isinstance(made, OtlpSink)
        yield receiver, made


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (200, Delivered()),
        (201, Delivered()),
        (400, Refused("it answered 400: why")),
        (401, Misconfigured("it answered 401: why")),
        (404, Misconfigured("it answered 404: why")),
        (408, Refused("it answered 408: why", isolate=False)),
        (413, TooLarge("it answered 413: why")),
        (425, Refused("it answered 425: why", isolate=False)),
        (429, Retry("it answered 429: why", 7.0)),
        (500, Refused("it answered 500: why", isolate=False)),
        (501, Refused("it answered 501: why", isolate=False)),
        (502, Retry("it answered 502: why", 7.0)),
        (503, Retry("it answered 503: why", 7.0)),
        (504, Retry("it answered 504: why", 7.0)),
    ],
)
@pytest.mark.parametrize("kind", [PROTOBUF, JSON, "text/plain"])
def test_only_what_the_specification_names_is_sent_again(kind: str, code: int, outcome: Outcome) -> None:
    body = b"why" if kind == "text/plain" else status(kind, "why")
    headers = {"Content-Type": kind, "Retry-After": "7"}
    assert sink("otlp+http://h").judge(Reply(code, headers, body)) == outcome


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("otlp+http://h:4318", "/v1/logs"),
        ("otlp+https://h/", "/v1/logs"),
        ("otlp+https://h/otlp/v1/logs", "/otlp/v1/logs"),
    ],
)
def test_the_path_need_not_be_named(url: str, path: str) -> None:
    assert sink(url).encode([batch()]).path == path


@ENCODINGS
async def test_a_partial_success_is_not_sent_again(encoding: str) -> None:
    """It does not say which records it rejected: all of the request are dead letters, none is sent twice."""
    async with talking(f"encoding={encoding}") as (receiver, made):
        receiver.partial.append((2, "too\nold"))
        outcome = await made.deliver([batch()])
    assert outcome == Refused("it rejected 2 records of the request: too old", isolate=False)


@ENCODINGS
async def test_a_warning_is_told_once(encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    async with talking(f"encoding={encoding}") as (receiver, made):
        receiver.partial += [(0, "slow down"), (0, "slow down"), (0, "really")]
        for _ in range(4):
            assert await made.deliver([batch()]) == Delivered()
    assert [line.getMessage() for line in caplog.records] == [
        "sink it takes all records and warns: slow down",
        "sink it takes all records and warns: really",
    ]


@ENCODINGS
@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
async def test_every_compression_is_understood(encoding: str, compress: str) -> None:
    async with talking(f"encoding={encoding}&compress={compress}") as (receiver, made):
        assert await made.probe() == Delivered()
        assert await made.deliver([batch()]) == Delivered()
        assert len(receiver.inbox.records) == 5
        assert receiver.requests[-1].headers.get("Content-Encoding", "none") == compress


@ENCODINGS
async def test_the_user_s_attributes_are_on_every_resource(encoding: str) -> None:
    more = "resource=deployment.environment.name=prod, team = a=b"
    async with talking(f"encoding={encoding}&{more}") as (receiver, made):
        receiver.resource = {"deployment.environment.name": "prod", "team": "a=b"}
        assert await made.deliver([batch()]) == Delivered()
        assert len(receiver.inbox.records) == 5


@pytest.mark.parametrize("text", ["prod", "=prod", "a=1,b"])
def test_attributes_that_are_none_are_a_fault(text: str) -> None:
    with pytest.raises(SettingsError, match=r"is not a list such as deployment\.environment\.name=prod"):
        sink(f"otlp+http://h?resource={text}")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PROTOBUF, b""),
        (PROTOBUF, b"\xff\xff"),
        (PROTOBUF, b"\x08\x01"),
        (PROTOBUF, b"\x0a\x02\x08"),
        (JSON, b"{}"),
        (JSON, b"[]"),
        (JSON, b'{"partialSuccess":null}'),
        (JSON, b'{"partialSuccess":{"rejectedLogRecords":"many"}}'),
        (JSON, b"not json"),
        ("text/html", b"<html>ok</html>"),
        ("", b"ok"),
    ],
)
def test_a_success_that_says_nothing_of_ours_is_one(kind: str, body: bytes) -> None:
    assert sink("otlp+http://h").judge(Reply(200, {"Content-Type": kind}, body)) == Delivered()


@pytest.mark.parametrize("kind", [PROTOBUF, f"{PROTOBUF}; charset=utf-8"])
def test_a_count_is_read_in_protobuf(kind: str) -> None:
    partial = ExportLogsPartialSuccess(rejected_log_records=300, error_message="größer")
    body = ExportLogsServiceResponse(partial_success=partial).SerializeToString()
    assert sink("otlp+http://h").judge(Reply(200, {"Content-Type": kind}, body)) == Refused(
        "it rejected 300 records of the request: größer", isolate=False
    )


@pytest.mark.parametrize("count", ['"3"', "3"])
def test_a_count_is_read_in_json(count: str) -> None:
    """64-bit numbers are strings there, but not everybody knows."""
    body = b'{"partialSuccess":{"rejectedLogRecords":%b,"errorMessage":"old"}}' % count.encode()
    assert sink("otlp+http://h").judge(Reply(200, {"Content-Type": JSON}, body)) == Refused(
        "it rejected 3 records of the request: old", isolate=False
    )


async def test_a_request_larger_than_a_collector_takes_is_split_before_it_is_sent() -> None:
    """A Collector would answer 400, as it does to what it cannot read."""
    async with talking() as (receiver, made):
        outcome = await made.deliver([batch([b"x" * (7 << 20)] * 3)])
        assert isinstance(outcome, TooLarge)
        assert receiver.requests == []
