"""What every sink over HTTP promises besides: how it takes a receiver's answers."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from typing import Any

import pytest

from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from tests.contract.cases import Case, between, noise, of_web, opened
from tests.receivers.loki import LokiReceiver
from tests.receivers.sent import batch
from tests.receivers.web import Answer

SECRET = "s3cr3t-enough"


@of_web
async def test_waits_as_long_as_a_throttling_receiver_says(case: Case) -> None:
    assert await after(case, Answer(429, headers={"Retry-After": "7"})) == Retry("it answered 429", 7.0)


@of_web
async def test_a_receiver_in_trouble_is_tried_again_until_it_is_well(case: Case) -> None:
    receiver = case.receiver()
    receiver.script += [Answer(503, "starting"), Answer(500)]
    async with receiver.listening(), opened(case.sink(receiver.port)) as sink:
        assert await sink.deliver([batch()]) == Retry("it answered 503: starting")
        assert await sink.deliver([batch()]) == Retry("it answered 500")
        assert await sink.deliver([batch()]) == Delivered()
    assert len(receiver.inbox.records) == 5


@of_web
async def test_a_receiver_that_does_not_answer_is_tried_again(case: Case) -> None:
    assert await after(case, Answer(delay=30), "timeout=200ms") == Retry("it: no answer within 0.2 s")


@of_web
async def test_too_large_a_request_is_to_be_split(case: Case) -> None:
    big = batch(noise(8, 4000))
    async with between(case, most_bytes=20_000) as (receiver, sink):
        assert await sink.deliver([big]) == TooLarge("it answered 413: too long")
        assert await sink.deliver([big.rows(0, 4)]) == Delivered()
        assert await sink.deliver([big.rows(4, 8)]) == Delivered()
    assert [record.message.encode() for record in receiver.inbox.records] == big.messages


@of_web
async def test_a_refused_request_says_why(case: Case) -> None:
    refused = await after(case, Answer(400, "entry too far behind"))
    assert refused == Refused(
        "it answered 400: entry too far behind", isolate=case.receiver is not LokiReceiver
    )


@of_web
@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_credentials_and_paths_are_for_a_person_to_mend(case: Case, status: int) -> None:
    assert await after(case, Answer(status)) == Misconfigured(f"it answered {status}")


@of_web
async def test_a_redirect_is_told_and_not_followed(case: Case) -> None:
    away = Answer(302, headers={"Location": f"https://elsewhere.example:1/path?token={SECRET}"})
    outcome = await after(case, away)
    assert isinstance(outcome, Misconfigured)
    assert "elsewhere.example" in outcome.why
    assert SECRET not in outcome.why


@of_web
async def test_the_right_credentials_are_sent(case: Case) -> None:
    async with between(case, more=f"token={SECRET}", authorization=f"Bearer {SECRET}") as (_, sink):
        assert await sink.probe() == Delivered()
        assert await sink.deliver([batch()]) == Delivered()
    async with between(
        case, more=f"user=me&password={SECRET}", authorization="Basic bWU6czNjcjN0LWVub3VnaA=="
    ) as (_, sink):
        assert await sink.deliver([batch()]) == Delivered()


@of_web
@pytest.mark.parametrize("given", ["", f"token={SECRET}", f"user=me&password={SECRET}"])
async def test_wrong_credentials_are_for_a_person_to_mend_and_never_shown(
    case: Case, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with between(case, more=given, authorization="Bearer other") as (_, sink):
        outcomes = [await sink.probe(), await sink.deliver([batch()])]
    for outcome in outcomes:
        assert isinstance(outcome, Misconfigured)
        assert outcome.why.startswith("it answered 401: not allowed: ")
    everything = f"{outcomes} {sink!r} {sink.options!r} {sink.target!r} {caplog.text}"
    assert SECRET not in everything
    assert "bWU6czNjcjN0" not in everything


@of_web
async def test_a_name_is_resolved_anew_for_each_connection(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with case.receiver().listening() as receiver:
        url = case.url.replace("127.0.0.1", "localhost").format(port=receiver.port)
        asked: list[str] = []
        lookup = socket.getaddrinfo

        def noted(host: str, *arguments: Any, **more: Any) -> object:  # noqa: ANN401 - whatever it takes
            asked.append(host)
            return lookup("127.0.0.1", *arguments, **more)

        monkeypatch.setattr(socket, "getaddrinfo", noted)
        async with opened(parse_sink("it", url)) as sink:
            receiver.script += [Answer(cut=True)]
            assert isinstance(await sink.deliver([batch()]), Retry)
            assert await sink.deliver([batch()]) == Delivered()
    assert asked == ["localhost", "localhost"]


async def after(case: Case, answer: Answer, more: str = "") -> Outcome:
    """What the sink makes of `answer`; the port, which is another each time, as `it`."""
    receiver = case.receiver()
    receiver.script.append(answer)
    async with receiver.listening(), opened(case.sink(receiver.port, more=more)) as sink:
        outcome: Outcome = await sink.deliver([batch()])
    assert receiver.inbox.records == []
    if isinstance(outcome, Retry):
        return replace(outcome, why=outcome.why.replace(f"127.0.0.1:{receiver.port}", "it"))
    return outcome
