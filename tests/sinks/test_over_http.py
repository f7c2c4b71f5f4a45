"""What a status means, and the options that every sink over HTTP has."""

from __future__ import annotations

import pytest

from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from agent.sinks.over_http import HEADERS, judge, retry_after
from agent.transport.http import Reply

NOW = 1_795_414_426.0  # Mon, 23 Nov 2026 06:13:46 GMT


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([200, 201, 202, 204, 299], Delivered),
        ([301, 302, 303, 307, 308], Misconfigured),
        ([401, 403, 404, 405, 407], Misconfigured),
        ([408, 425, 429, 500, 502, 503, 504, 599], Retry),
        ([413], TooLarge),
        ([400, 402, 406, 409, 415, 422, 451], Refused),
    ],
)
def test_each_status_has_its_meaning(statuses: list[int], outcome: type[Outcome]) -> None:
    for status in statuses:
        assert isinstance(judge(Reply(status, {}), now=NOW), outcome), status


def test_nothing_of_a_refused_request_was_stored() -> None:
    assert judge(Reply(400, {}, b"bad line"), now=NOW) == Refused("it answered 400: bad line", isolate=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("Mon, 23 Nov 2026 06:14:46 GMT", 60.0),
        ("Mon, 23 Nov 2026 06:12:46 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after(Reply(429, {"Retry-After": text}), NOW) == seconds


def test_a_web_page_explains_nothing() -> None:
    assert judge(Reply(502, {}, b"<!doctype html>\n<HTML>..."), now=NOW) == Retry("it answered 502")


def test_an_explanation_is_one_short_line() -> None:
    reply = Reply(400, {}, b"  first\n second\t" + b"x" * 5000)
    outcome = judge(reply, now=NOW)
    assert isinstance(outcome, Refused)
    assert outcome.why.startswith("it answered 400: first second x")
    assert len(outcome.why) < 600


def test_headers_are_pairs_whose_values_are_hidden() -> None:
    parsed = HEADERS.parse("X-Api-Key=a=b, X-Source = docker")
    assert [(name, value.reveal()) for name, value in parsed] == [
        ("X-Api-Key", "a=b"),
        ("X-Source", "docker"),
    ]
    assert "a=b" not in repr(parsed)
    assert HEADERS.show(parsed) == "***"


@pytest.mark.parametrize("text", ["X-Api-Key", "no name=1", "X=a\r\nY: b", "=x"])
def test_a_header_that_is_none_is_a_fault_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", "http://h/?headers=" + text.replace("\r\n", "%0D%0A"))
    assert (
        str(caught.value)
        == "sink it: option 'headers': its value is not a list such as X-Api-Key=abc,X-Source=docker"
    )


@pytest.mark.parametrize("text", ["two%0Alines", "two words", "gr%C3%B6%C3%9Fer", ""])
def test_a_token_that_fits_no_header_is_a_fault_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", f"http://h/?token={text}")
    assert (
        str(caught.value)
        == "sink it: option 'token': its value is not made of printable ASCII characters without blanks"
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http:///logs", "sink it: the host is missing, as in http://host/path"),
        ("https://me:pw@host/?token=t", "sink it: user and token are both set; keep one"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems == (problem,)
