"""What `_bulk` demands beyond HTTP: an answer for each document, and the names of indices."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.elasticsearch import ElasticsearchSink
from agent.transport.http import Reply
from tests.contract.play import opened
from tests.receivers.elasticsearch import ElasticsearchReceiver
from tests.receivers.sent import batch
from tests.receivers.web import Answer

SECRET = "s3cr3t-enough"
BLOCKED = (
    403,
    "cluster_block_exception",
    "index [x] blocked by: [FORBIDDEN/12/index read-only / allow delete]",
)
FULL = (429, "es_rejected_execution_exception", "rejected execution of primary operation")
BAD = (400, "document_parsing_exception", "failed to parse field [x]")
GONE = (404, "index_not_found_exception", "no such index [x]")


def sink(url: str) -> ElasticsearchSink:
    made = parse_sink("it", url)
    assert isinstance(made, ElasticsearchSink)
    return made


@contextlib.asynccontextmanager
async def talking(
    path: str = "", *, authorization: str | None = None
) -> AsyncIterator[tuple[ElasticsearchReceiver, ElasticsearchSink]]:
    async with ElasticsearchReceiver(authorization=authorization).listening() as receiver:
        url = f"elasticsearch+http://127.0.0.1:{receiver.port}{path}"
        async with opened(parse_sink("it", url)) as made:
            assert isinstance(made, ElasticsearchSink)
            yield receiver, made


@pytest.mark.parametrize(
    "scheme", ["elasticsearch+http", "elasticsearch+https", "opensearch+http", "opensearch+https"]
)
@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("", "/logs-docker-default/_bulk"),
        ("/", "/logs-docker-default/_bulk"),
        ("/docker", "/docker/_bulk"),
        ("/behind/a/proxy/docker/", "/behind/a/proxy/docker/_bulk"),
        ("?index=docker", "/_bulk"),
        ("/behind/a/proxy?index=docker", "/behind/a/proxy/_bulk"),
    ],
)
def test_the_path_is_the_data_stream_unless_the_index_is_an_option(scheme: str, rest: str, path: str) -> None:
    request = sink(f"{scheme}://h:9200{rest}").encode([batch([b"x"])])
    assert request.path == path
    assert (b'"_index":"docker"' in request.body) == ("index=" in rest)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://h/x-{{.Name}}", "sink it: a template is given as index=…, not as the path"),
        ("http://h?api_key=a&token=b", "sink it: api_key and user or token are both set; keep one"),
        ("http://me:pw@h?api_key=a", "sink it: api_key and user or token are both set; keep one"),
        ("http://h?index={{.Name}}", "option 'index': '{{.Name}}' is not a name that begins with letters"),
        ("http://h?op=update", "option 'op': 'update' is not one of create, index"),
        ("http:///x", "sink it: the host is missing, as in http://host/path"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sink(f"elasticsearch+{url}")
    assert problem in str(caught.value)


async def test_a_record_sent_again_is_stored_once() -> None:
    """The answer was lost: 409 says that the document is there."""
    async with talking() as (receiver, made):
        assert await made.deliver([batch([b"1", b"2"])]) == Delivered()
        assert await made.deliver([batch([b"1", b"2", b"3"])]) == Delivered()
        assert [record.message for record in receiver.inbox.records] == ["1", "2", "3"]


async def test_only_the_documents_that_were_rejected_are_sent_again() -> None:
    async with talking() as (receiver, made):
        receiver.statuses = {"2": [FULL], "3": [BAD], "4": [BLOCKED], "5": [(503, "unavailable", "no shard")]}
        outcome = await made.deliver([batch([b"1", b"2"]), batch([b"3", b"4", b"5"], start_ns=7)])
        assert isinstance(outcome, Partial)
        assert sorted(outcome.retry) == [1, 3, 4]
        assert outcome.refused == {2: "400 document_parsing_exception: failed to parse field [x]"}
        assert outcome.why == (
            "429 es_rejected_execution_exception: rejected execution of primary operation (3 of 5 records)"
        )
        assert [record.message for record in receiver.inbox.records] == ["1"]


async def test_a_block_of_writes_is_waited_for() -> None:
    """It ends by itself, once there is room on the disk: nobody has to mend the sink."""
    async with talking() as (receiver, made):
        receiver.statuses = {"1": [BLOCKED]}
        outcome = await made.deliver([batch([b"1"])])
        assert isinstance(outcome, Partial)
        assert outcome.retry == [0]
        assert await made.deliver([batch([b"1"])]) == Delivered()


async def test_a_refusal_tells_its_cause() -> None:
    async with talking() as (receiver, made):
        receiver.poison = "poison"
        assert await made.deliver([batch([b"1", b"poison"])]) == Partial(
            refused={1: "400 document_parsing_exception: failed to parse field [message]: no such thing"}
        )


@pytest.mark.parametrize(
    "said",
    [
        GONE,
        (403, "security_exception", "action [indices:data/write/bulk] is unauthorized for API key"),
        (401, "security_exception", "missing authentication"),
    ],
)
async def test_a_missing_index_or_right_is_for_a_person_to_mend(said: tuple[int, str, str]) -> None:
    """With others among them, those are settled first."""
    why = f"{said[0]} {said[1]}: {said[2]}"
    async with talking() as (receiver, made):
        receiver.statuses = {"2": [said, said]}
        assert await made.deliver([batch([b"1", b"2"])]) == Partial([1], why=f"{why} (1 of 2 records)")
        assert await made.deliver([batch([b"1", b"2"]).rows(1, 2)]) == Misconfigured(why)
        assert await made.deliver([batch([b"1", b"2"]).rows(1, 2)]) == Delivered()


async def test_an_index_that_a_container_chose_does_not_hold_the_others() -> None:
    async with talking('?index=docker-{{index .Labels "index"}}') as (receiver, made):
        receiver.statuses = {"2": [GONE]}
        assert await made.deliver([batch([b"2"])]) == Partial(
            refused={0: "404 index_not_found_exception: no such index [x]"}
        )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("?op=index", "400 illegal_argument_exception: only write ops with an op_type of create are allowed"),
        (
            "?pipeline=absent%26x",
            "400 illegal_argument_exception: pipeline with id [absent&x] does not exist",
        ),
        ("/Docker", "400 invalid_index_name_exception: Invalid index name [Docker]"),
    ],
)
async def test_an_option_that_is_wrong_costs_no_record(path: str, why: str) -> None:
    """It is said of each document; dead letters it makes none."""
    async with talking(path) as (_, made):
        outcome = await made.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert outcome.why.startswith(why)


async def test_a_document_cannot_pretend_that_an_option_is_wrong() -> None:
    """A pipeline's complaint quotes what it could not read."""
    quoted = "Provided Grok expressions do not match field value: [pipeline with id [x] op_type of create]"
    async with talking() as (receiver, made):
        receiver.statuses = {"1": [(400, "illegal_argument_exception", quoted)]}
        outcome = await made.deliver([batch([b"1"])])
    assert outcome == Partial(refused={0: f"400 illegal_argument_exception: {quoted}"})


async def test_pipeline_and_routing_are_sent() -> None:
    async with talking("?pipeline=mine&routing={{.Name}}") as (receiver, made):
        receiver.pipeline = "mine"
        assert await made.deliver([batch([b"x"])]) == Delivered()
        assert receiver.routings == {"web"}


@pytest.mark.parametrize(
    "given", [f"api_key=agent:{SECRET}", "api_key=YWdlbnQ6czNjcjN0LWVub3VnaA=="], ids=["plain", "encoded"]
)
async def test_an_api_key_is_taken_in_both_its_forms(given: str) -> None:
    async with talking(f"?{given}", authorization="ApiKey YWdlbnQ6czNjcjN0LWVub3VnaA==") as (receiver, made):
        assert await made.probe() == Delivered()
        assert await made.deliver([batch([b"x"])]) == Delivered()
        receiver.authorization = "ApiKey other"
        outcome = await made.deliver([batch([b"x"])])
    assert outcome == Misconfigured("it answered 401: not allowed: ApiKey ***")


async def test_a_throttled_document_waits_as_long_as_the_answer_says() -> None:
    async with talking() as (receiver, made):
        items = [{"create": {"status": 429, "error": {"type": "full", "reason": "later"}}}]
        answer = json.dumps({"errors": True, "items": items})
        receiver.script.append(Answer(200, answer, headers={"Retry-After": "7"}))
        assert await made.deliver([batch([b"x"])]) == Partial(
            [0], why="429 full: later (1 of 1 records)", after=7.0
        )


@pytest.mark.parametrize(
    "body",
    [
        "<html>please log in</html>",
        "{}",
        "[]",
        "null",
        '{"errors":true,"items":[]}',
        '{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":201}}]}',
        '{"errors":true,"items":[{}]}',
        '{"errors":true,"items":[{"create":{"status":400,"error":"text"}}]}',
        '{"errors":true,"items":[{"create":{"status":400}}]}',
    ],
)
async def test_a_200_of_somebody_else_s_is_no_success(body: str) -> None:
    async with talking() as (receiver, made):
        receiver.script.append(Answer(200, body))
        outcome = await made.deliver([batch([b"x"])])
    assert outcome == Misconfigured("it answered 200, but not as _bulk does: is this the right address?")


async def test_an_answer_longer_than_we_read_asks_for_smaller_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.sinks.elasticsearch._REPLY_BYTES", 2000)
    async with talking() as (receiver, made):
        receiver.statuses = {str(number): [BAD] for number in range(50)}
        sent = batch([str(number).encode() for number in range(50)])
        assert await made.deliver([sent]) == TooLarge("its answer is longer than we read")


def test_a_body_that_no_server_takes_is_not_sent() -> None:
    assert ElasticsearchSink.most_bytes == 100 << 20


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Refused("it answered 400: why")),
        (401, Misconfigured("it answered 401: why")),
        (404, Misconfigured("it answered 404: why")),
        (413, TooLarge("it answered 413: why")),
        (429, Retry("it answered 429: why")),
        (503, Retry("it answered 503: why")),
    ],
)
def test_each_status_of_a_whole_request_has_its_meaning(status: int, outcome: Outcome) -> None:
    assert sink("elasticsearch+http://h").judge(Reply(status, {}, b"why")) == outcome


def test_a_whole_request_that_an_option_spoils_is_for_a_person_to_mend() -> None:
    error = {"type": "illegal_argument_exception", "reason": "explicit index in bulk is not allowed"}
    body = json.dumps({"error": error, "status": 400}).encode()
    outcome = sink("opensearch+http://h?index=a").judge(Reply(400, {}, body))
    assert isinstance(outcome, Misconfigured)
    assert "explicit index in bulk is not allowed" in outcome.why
