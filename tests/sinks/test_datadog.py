"""What Datadog's intake demands beyond HTTP: its sites, its key, and records that are not too old."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from agent.batch import NS
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Partial, Retry, TooLarge
from agent.sinks.datadog import DatadogSink
from tests.contract.play import opened
from tests.receivers.datadog import DatadogReceiver
from tests.receivers.sent import batch
from tests.receivers.web import Answer

SECRET = "s3cr3t-enough"
HOUR_NS = 3600 * NS


def sink(url: str) -> DatadogSink:
    made = parse_sink("it", url)
    assert isinstance(made, DatadogSink)
    return made


@contextlib.asynccontextmanager
async def talking(more: str = "") -> AsyncIterator[tuple[DatadogReceiver, DatadogSink]]:
    async with DatadogReceiver(api_key=SECRET).listening() as receiver:
        url = f"datadog://?endpoint=http://127.0.0.1:{receiver.port}&api_key={SECRET}"
        async with opened(parse_sink("it", "&".join(filter(None, [url, more])))) as made:
            assert isinstance(made, DatadogSink)
            yield receiver, made


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("datadog://", "https://http-intake.logs.datadoghq.com:None/api/v2/logs"),
        ("datadog://datadoghq.eu", "https://http-intake.logs.datadoghq.eu:None/api/v2/logs"),
        ("datadog://us3.datadoghq.com/", "https://http-intake.logs.us3.datadoghq.com:None/api/v2/logs"),
        ("datadog://app.datadoghq.eu", "https://http-intake.logs.datadoghq.eu:None/api/v2/logs"),
        ("datadog://?endpoint=http://vector:8282", "http://vector:8282/api/v2/logs"),
        ("datadog://?endpoint=https://proxy/dd/logs", "https://proxy:None/dd/logs"),
    ],
)
def test_the_site_is_the_host_unless_there_is_an_endpoint(url: str, where: str) -> None:
    target = sink(f"{url}{'&' if '?' in url else '?'}api_key=x").target
    assert f"{target.transport}://{target.host}:{target.port}{target.path}" == where


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("datadog://datadoghq.eu", "sink it: option 'api_key' is missing: API key"),
        ("datadog://?api_key=x&endpoint=vector:8282", "option 'endpoint' is not an address such as"),
        ("datadog://?api_key=x&endpoint=http://me:pw@h", "option 'endpoint' is not an address such as"),
        ("datadog://?api_key=x&endpoint=http://[", "option 'endpoint' is not an address such as"),
        ("datadog://?api_key=a%0Ab", "option 'api_key': its value is not made of printable ASCII"),
        ("datadog://?api_key=x&service={{.Nome}}", "option 'service'"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sink(url)
    assert problem in str(caught.value)
    assert "pw" not in str(caught.value)


async def test_records_older_than_datadog_keeps_are_refused_and_the_others_sent() -> None:
    """It would drop them, and answer 202 all the same."""
    now = time.time_ns()
    old = [batch([b"1", b"2"], start_ns=now - 19 * HOUR_NS)]
    mixed = batch([b"3", b"4", b"5"], start_ns=now - 17 * HOUR_NS)
    mixed.timestamps = [now - HOUR_NS, now - 20 * HOUR_NS, now]
    async with talking() as (receiver, made):
        why = "older than 18h (max_age)"
        assert await made.deliver([*old, mixed]) == Partial(refused={0: why, 1: why, 3: why})
        assert [record.message for record in receiver.inbox.records] == ["3", "5"]
        assert await made.deliver(old) == Partial(refused={0: why, 1: why})
        assert len(receiver.requests) == 1
        receiver.script.append(Answer(503))
        assert await made.deliver([*old, mixed]) == Retry("it answered 503")


async def test_records_of_times_of_their_own_are_judged_by_these_wherever_they_stand() -> None:
    now = time.time_ns()
    sent = batch([b"%d" % row for row in range(6)], start_ns=now)
    sent.read_at = sent.timestamps
    sent.timestamps = [now, now - 20 * HOUR_NS, now, 1, now - HOUR_NS, now - 19 * HOUR_NS]
    async with talking() as (receiver, made):
        outcome = await made.deliver([sent])
    assert isinstance(outcome, Partial)
    assert set(outcome.refused) == {1, 3, 5}
    assert [record.message for record in receiver.inbox.records] == ["0", "2", "4"]


async def test_how_old_a_record_may_be_is_an_option() -> None:
    async with talking("max_age=1h") as (receiver, made):
        sent = batch([b"1"], start_ns=time.time_ns() - 2 * HOUR_NS)
        assert await made.deliver([sent]) == Partial(refused={0: "older than 1h (max_age)"})
        assert receiver.requests == []


@pytest.mark.parametrize("compress", ["none", "gzip"])
async def test_service_source_and_tags_arrive(compress: str) -> None:
    more = f"service=shop-{{{{.Name}}}}&source=python&tags=env:prod,team:shop&compress={compress}"
    async with talking(more) as (receiver, made):
        assert await made.probe() == Delivered()
        assert await made.deliver([batch([b"x"], start_ns=time.time_ns())]) == Delivered()
        [log] = receiver.logs
    assert (log["service"], log["ddsource"]) == ("shop-web", "python")
    assert log["ddtags"].endswith(",env:prod,team:shop")


async def test_a_wrong_key_is_for_a_person_to_mend_and_never_shown() -> None:
    async with talking() as (receiver, made):
        receiver.api_key = "another"
        outcomes = [await made.probe(), await made.deliver([batch([b"x"], start_ns=time.time_ns())])]
    assert outcomes == [Misconfigured('it answered 403: {"errors": ["Forbidden: ***"]}')] * 2


async def test_a_request_larger_than_datadog_takes_is_split_before_it_is_sent() -> None:
    async with talking() as (receiver, made):
        outcome = await made.deliver([batch([b"x" * (1 << 20)] * 5, start_ns=time.time_ns())])
        assert isinstance(outcome, TooLarge)
        assert receiver.requests == []
