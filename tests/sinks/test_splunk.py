"""What Splunk's collector demands beyond HTTP; what all sinks promise is tests/contract."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.batch import Batch, Container, Stream
from agent.encode.splunk import FIELDS
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, Sink, TooLarge
from agent.sinks.splunk import SplunkSink
from agent.transport.http import Reply
from tests.receivers.sent import batch, forget
from tests.receivers.splunk import SplunkReceiver
from tests.receivers.web import Answer

TOKEN = "9e1f5a0c-s3cr3t"


def sink(url: str) -> SplunkSink:
    made = parse_sink("it", url)
    assert isinstance(made, SplunkSink)
    return made


@contextlib.asynccontextmanager
async def between(receiver: SplunkReceiver, *options: str) -> AsyncIterator[Sink[Any]]:
    """An open sink that delivers to `receiver`, which listens."""
    receiver.authorization = f"Splunk {TOKEN}"
    async with receiver.listening():
        made = sink(f"splunk+http://127.0.0.1:{receiver.port}?{'&'.join([f'token={TOKEN}', *options])}")
        await made.open(None, forget)
        try:
            yield made
        finally:
            await made.close()
    assert receiver.inbox.faults == []


def of_index(index: str, *messages: bytes) -> Batch:
    of = Container(id="0" * 64, name=index, image="i", tag="t", host="h", labels={"index": index})
    return Batch(of, Stream.STDOUT, list(range(len(messages))), list(messages))


def reply(status: int, code: int | None, **more: object) -> Reply:
    return Reply(
        status, {}, b"" if code is None else json.dumps({"text": "why", "code": code, **more}).encode()
    )


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, 0), Delivered),
        (reply(201, None), Delivered),  # Fluent Bit's input may be told to
        (reply(200, 0, ackId=3), Delivered),
        (Reply(200, {}, b"<html>Welcome to the proxy"), Misconfigured),
        (Reply(200, {}, b'["code", 0]'), Misconfigured),
        (reply(403, 1), Misconfigured),
        (reply(401, 2), Misconfigured),
        (reply(401, 3), Misconfigured),
        (reply(403, 4), Misconfigured),
        (reply(400, 5), Refused),
        (reply(400, 6), Refused),
        (reply(400, 7), Misconfigured),
        (reply(500, 8), Retry),
        (reply(503, 9), Retry),
        (reply(400, 10), Misconfigured),
        (reply(400, 11), Misconfigured),
        (reply(400, 12), Refused),
        (reply(400, 13), Refused),
        (reply(400, 14), Misconfigured),
        (reply(400, 15), Refused),
        (reply(400, 16), Misconfigured),
        (reply(503, 18), Retry),
        (reply(503, 20), Retry),
        (Reply(413, {}, b"Content-Length of 9000000 too large (maximum is 838860800)"), TooLarge),
        (Reply(404, {}, b"not found"), Misconfigured),
    ],
)
def test_each_code_has_its_meaning(answer: Reply, outcome: type[Outcome]) -> None:
    assert isinstance(sink("splunk+http://h?token=t").judge(answer), outcome)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("splunk+https://h:8088", "/services/collector/event"),
        ("splunk+https://h:8088/", "/services/collector/event"),
        ("splunk+https://h:8088/services/collector", "/services/collector/event"),
        ("splunk+https://h:8088/services/collector/event", "/services/collector/event"),
        ("splunk+https://h/v1/splunk", "/v1/splunk/services/collector/event"),
    ],
)
def test_the_path_need_not_be_named(url: str, path: str) -> None:
    assert sink(f"{url}?token=t").encode([batch()]).path == path


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("splunk+http://h", "option 'token' is missing: HEC token"),
        (
            "splunk+http://h?token=t&fields=image,name",
            f"option 'fields': 'name' is none of {', '.join(FIELDS)}",
        ),
        ("splunk+http:///?token=t", "the host is missing, as in http://host/path"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sink(url)
    assert caught.value.problems == (f"sink it: {problem}",)


async def test_the_token_may_be_a_password_as_with_curl() -> None:
    receiver = SplunkReceiver(authorization="Basic eDo5ZTFmNWEwYy1zM2NyM3Q=")
    async with receiver.listening():
        made = sink(f"splunk+http://x:{TOKEN}@127.0.0.1:{receiver.port}")
        await made.open(None, forget)
        assert await made.deliver([batch()]) == Delivered()
        await made.close()


async def test_index_source_and_sourcetype_are_as_configured() -> None:
    receiver = SplunkReceiver()
    async with between(receiver, "index=main&source={{.Name}}&sourcetype=docker&compress=none") as made:
        assert await made.deliver([batch([b"x"])]) == Delivered()
    [event] = receiver.events
    assert (event["index"], event["source"], event["sourcetype"]) == ("main", "web", "docker")


@pytest.mark.parametrize("rollback", [False, True])
async def test_the_event_at_fault_is_refused_and_the_others_go_again(rollback: bool) -> None:  # noqa: FBT001
    receiver = SplunkReceiver()
    receiver.poison, receiver.rollback = "bad", rollback
    async with between(receiver) as made:
        outcome = await made.deliver([batch([b"1", b"2"]), batch([b"bad", b"3"])])
    assert isinstance(outcome, Partial)
    assert outcome.refused == {
        2: 'it answered 400: {"text": "Invalid data format", "code": 6, "invalid-event-number": 2}'
    }
    assert list(outcome.retry) == [0, 1, 3]


async def test_a_place_that_is_none_is_not_believed() -> None:
    for number in (5, -1, "1", None):
        receiver = SplunkReceiver()
        body = json.dumps({"text": "Invalid data format", "code": 6, "invalid-event-number": number})
        receiver.script.append(Answer(400, body))
        async with between(receiver) as made:
            assert await made.deliver([batch()]) == Refused(f"it answered 400: {body}")


async def test_an_index_that_the_token_may_not_write_to_is_for_a_person_to_mend() -> None:
    receiver = SplunkReceiver()
    receiver.indexes = ["main"]
    async with between(receiver, "index=typo") as made:
        outcome = await made.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert "Incorrect index" in outcome.why


async def test_a_containers_own_wrong_index_costs_its_records_alone() -> None:
    receiver = SplunkReceiver()
    receiver.indexes = ["main"]
    async with between(receiver, 'index={{index .Labels "index"}}') as made:
        outcome = await made.deliver(
            [of_index("main", b"1"), of_index("typo", b"2", b"3"), of_index("main", b"4")]
        )
    assert isinstance(outcome, Partial)
    assert outcome.refused.keys() == {1, 2}
    assert list(outcome.retry) == [0, 3]


async def test_a_blank_event_is_refused_with_a_reason_and_its_neighbours_are_delivered() -> None:
    receiver = SplunkReceiver()
    blank = Batch(Container("0" * 64, "n", "i", "", "h"), Stream.STDOUT, [1, 2, 3], [b"x", b" ", b"y"])
    async with between(receiver, "format=raw") as made:
        why = "it is blank, which Splunk does not take"
        assert await made.deliver([blank]) == Partial(refused={1: why})
        assert await made.deliver([blank.rows(1, 2)]) == Partial(refused={0: why})
        receiver.poison = "y"
        outcome = await made.deliver([blank])
    assert isinstance(outcome, Partial)
    assert list(outcome.retry) == [0]
    assert outcome.refused.keys() == {1, 2}
    assert [event["event"] for event in receiver.events] == ["x", "y", "x"]


async def test_with_acknowledgement_delivered_means_indexed() -> None:
    receiver = SplunkReceiver(acknowledging=True)
    receiver.unindexed = 2
    async with between(receiver, "ack=true") as made:
        assert await made.probe() == Delivered()
        assert await made.deliver([batch()]) == Delivered()
        assert await made.deliver([batch([b"x"])]) == Delivered()
    asked = [request.path for request in receiver.requests[1:]]
    assert asked == [f"/services/collector/{name}" for name in ("event", "ack", "ack", "ack", "event", "ack")]
    assert len({request.headers["X-Splunk-Request-Channel"] for request in receiver.requests}) == 1


async def test_what_is_not_acknowledged_in_time_is_asked_for_again_not_sent_again() -> None:
    receiver = SplunkReceiver(acknowledging=True)
    receiver.unindexed = 1_000
    async with between(receiver, "ack=true&timeout=300ms") as made:
        assert await made.deliver([batch()]) == Retry("Splunk has not acknowledged it yet")
        assert await made.deliver([batch()]) == Retry("Splunk has not acknowledged it yet")
        receiver.unindexed = 0
        assert await made.deliver([batch()]) == Delivered()
        assert receiver.posted == 1
        assert await made.deliver([batch()]) == Delivered()
    assert receiver.posted == 2


async def test_what_is_never_acknowledged_is_sent_again_after_a_while() -> None:
    receiver = SplunkReceiver(acknowledging=True)
    receiver.unindexed = 1_000
    async with between(receiver, "ack=true&timeout=200ms&ack_timeout=100ms") as made:
        assert isinstance(await made.deliver([batch()]), Retry)
        receiver.unindexed = 0
        assert await made.deliver([batch()]) == Delivered()
    assert receiver.posted == 2


async def test_a_token_without_acknowledgement_is_told() -> None:
    receiver = SplunkReceiver()
    async with between(receiver, "ack=true") as made:
        for outcome in (await made.probe(), await made.deliver([batch()])):
            assert isinstance(outcome, Misconfigured)
            assert "ACK is disabled" in outcome.why or "no indexer acknowledgement" in outcome.why


async def test_a_token_with_acknowledgement_is_served_without_waiting_for_it() -> None:
    receiver = SplunkReceiver(acknowledging=True)
    async with between(receiver) as made:
        assert await made.probe() == Delivered()
        assert await made.deliver([batch()]) == Delivered()


async def test_the_token_is_shown_nowhere() -> None:
    receiver = SplunkReceiver()
    async with between(receiver) as made:
        receiver.authorization = "Splunk of-another"
        outcomes = [await made.probe(), await made.deliver([batch()])]
    assert all(isinstance(outcome, Misconfigured) for outcome in outcomes)
    assert "s3cr3t" not in f"{outcomes} {made!r} {made.options!r} {made.target!r}"
