"""The sink for whatever takes a POST."""

from __future__ import annotations

import json

import pytest

from agent.encode.ndjson import ndjson
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Retry
from agent.sinks.http import HttpLinesSink
from agent.transport.http import Reply
from tests.receivers.sent import batch, forget
from tests.receivers.web import HttpReceiver


def sink(url: str) -> HttpLinesSink:
    made = parse_sink("it", url)
    assert isinstance(made, HttpLinesSink)
    return made


def test_lines_are_sent_as_lines() -> None:
    sent = [batch(), batch([b"more"])]
    request = sink("http://h/a%20path/{{x}}").encode(sent)
    assert (request.method, request.path, request.compress) == ("POST", "/a path/{{x}}", "none")
    assert request.headers == {"Content-Type": "application/x-ndjson"}
    assert request.body == b"".join(map(ndjson, sent))


def test_an_array_holds_the_same_records() -> None:
    sent = [batch(), batch([b"new\nline", b"],["])]
    request = sink("http://h/?format=json&method=PUT&compress=gzip").encode(sent)
    assert (request.method, request.compress) == ("PUT", "gzip")
    assert request.headers == {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert json.loads(request.body) == [
        json.loads(line) for each in sent for line in ndjson(each).splitlines()
    ]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered),
        (404, Delivered),
        (405, Delivered),
        (501, Delivered),
        (401, Misconfigured),
        (503, Retry),
    ],
)
def test_a_probe_asks_who_is_there_not_what_it_serves(status: int, outcome: type[Outcome]) -> None:
    assert isinstance(sink("http://h/").judge_answer(Reply(status, {})), outcome)


def test_a_probe_says_that_it_has_no_body() -> None:
    """A server that waits for one would never answer."""
    assert sink("http://h/").question().headers == {"Content-Length": "0"}


async def test_further_headers_are_sent() -> None:
    async with HttpReceiver().listening() as receiver:
        made = sink(f"http://127.0.0.1:{receiver.port}/logs?headers=X-Api-Key=k1,X-Source=docker&method=put")
        await made.open(None, forget)
        assert await made.deliver([batch()]) == Delivered()
        await made.close()
    (request,) = receiver.requests
    assert request.method == "PUT"
    assert (request.headers["X-Api-Key"], request.headers["X-Source"]) == ("k1", "docker")
    assert request.headers["User-Agent"].startswith("dockferry/")


async def test_the_receivers_own_query_is_sent() -> None:
    """As ClickHouse or VictoriaLogs want it; it may hold a key, and is a secret."""
    async with HttpReceiver().listening() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/logs?query=_stream_fields%3Da,b%26x%3D1%2526"
        made = sink(url)
        await made.open(None, forget)
        assert await made.deliver([batch()]) == Delivered()
        await made.close()
    (request,) = receiver.requests
    assert request.path == "/logs?_stream_fields=a,b&x=1%26"
    assert "_stream_fields" not in repr(made.options)


async def test_a_large_request_leaves_the_loop_alive_and_arrives_whole() -> None:
    """Past 256 KiB it is compressed in a thread."""
    sent = batch([b"%06d" % row for row in range(3000)])
    async with HttpReceiver().listening() as receiver:
        made = sink(f"http://127.0.0.1:{receiver.port}/logs?compress=gzip")
        await made.open(None, forget)
        assert await made.deliver([sent]) == Delivered()
        await made.close()
    assert [record.message.encode() for record in receiver.inbox.records] == sent.messages
