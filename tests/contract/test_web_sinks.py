"""What the sinks over HTTP promise besides: how they take a receiver's answers (RFC 9110, 15)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry
from tests.contract.play import opened
from tests.contract.stages.http import HttpJsonGzipStage, HttpStage
from tests.contract.stages.loki import LokiStage
from tests.contract.web import WebStage
from tests.receivers.sent import batch
from tests.receivers.web import Answer

PATH_TOKEN = "another-s3cr3t"

#: Of each of their kinds: those that judge every status as HTTP does.
of_web = pytest.mark.parametrize(
    "stage", [(made, {}) for made in (HttpStage, HttpJsonGzipStage, LokiStage)], indirect=True
)


@of_web
async def test_the_wait_that_a_throttling_receiver_asks_for_is_passed_on(stage: WebStage) -> None:
    assert await after(stage, Answer(429, headers={"Retry-After": "7"})) == Retry("it answered 429", 7.0)


@of_web
async def test_a_receiver_in_trouble_is_quoted(stage: WebStage) -> None:
    assert await after(stage, Answer(503, "starting")) == Retry("it answered 503: starting")


@of_web
async def test_a_receiver_that_does_not_answer_is_tried_again(stage: WebStage) -> None:
    outcome = await after(stage, Answer(delay=30), "timeout=200ms")
    assert outcome == Retry(f"127.0.0.1:{stage.web.port}: no answer within 0.2 s")


@of_web
async def test_nobody_there_is_told_with_the_address(stage: WebStage) -> None:
    async with stage.standing(), opened(stage.sink()) as sink, stage.absent():
        outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Retry)
        assert f"127.0.0.1:{stage.web.port}: Connection refused" in outcome.why
        assert isinstance(await sink.probe(), Retry)


@of_web
async def test_a_refused_request_says_why(stage: WebStage) -> None:
    assert await after(stage, Answer(400, "entry too far behind")) == Refused(
        "it answered 400: entry too far behind", isolate=not stage.together
    )


@of_web
@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_credentials_and_paths_are_for_a_person_to_mend(stage: WebStage, status: int) -> None:
    assert await after(stage, Answer(status)) == Misconfigured(f"it answered {status}")


@of_web
async def test_a_redirect_is_told_and_not_followed(stage: WebStage) -> None:
    away = Answer(302, headers={"Location": f"https://elsewhere.example:1/path?token={PATH_TOKEN}"})
    outcome = await after(stage, away)
    assert isinstance(outcome, Misconfigured)
    assert "elsewhere.example" in outcome.why
    assert PATH_TOKEN not in outcome.why


@of_web
async def test_a_receiver_that_repeats_the_credentials_is_quoted_without_them(stage: WebStage) -> None:
    async with stage.standing(), stage.locked(), opened(stage.sink()) as sink:
        for outcome in (await sink.probe(), await sink.deliver([batch()])):
            assert outcome == Misconfigured("it answered 401: not allowed: Bearer ***")


@of_web
async def test_a_name_is_resolved_anew_for_each_connection(
    stage: WebStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    lookup = socket.getaddrinfo

    def noted(host: str, *arguments: Any, **more: Any) -> object:  # noqa: ANN401 - whatever it takes
        asked.append(host)
        return lookup("127.0.0.1", *arguments, **more)

    async with stage.standing():
        monkeypatch.setattr(socket, "getaddrinfo", noted)
        async with opened(parse_sink("it", stage.url.replace("127.0.0.1", "localhost"))) as sink:
            stage.web.script.append(Answer(cut=True))
            assert isinstance(await sink.deliver([batch()]), Retry)
            assert await sink.deliver([batch()]) == Delivered()
    assert asked == ["localhost", "localhost"]


async def after(stage: WebStage, answer: Answer, more: str = "") -> Outcome:
    """What the sink makes of `answer`."""
    stage.web.script.append(answer)
    async with stage.standing(), opened(stage.sink(more)) as sink:
        outcome: Outcome = await sink.deliver([batch()])
    assert stage.web.inbox.records == []
    return outcome
