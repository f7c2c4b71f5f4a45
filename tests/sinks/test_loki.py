"""What Loki demands beyond HTTP."""

from __future__ import annotations

import pytest

from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, TooLarge
from agent.sinks.loki import LokiSink
from agent.transport.http import Reply
from tests.receivers.loki import LokiReceiver
from tests.receivers.sent import batch, forget


def sink(url: str) -> LokiSink:
    made = parse_sink("it", url)
    assert isinstance(made, LokiSink)
    return made


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, Delivered()),
        (260, Misconfigured("Loki's operator has blocked ingestion: why")),
        (400, Refused("it answered 400: why", isolate=False)),
        (413, TooLarge("it answered 413: why")),
        (429, Retry("it answered 429: why")),
        (500, Retry("it answered 500: why")),
    ],
)
def test_each_status_has_its_meaning(status: int, outcome: Outcome) -> None:
    assert sink("loki+http://h").judge(Reply(status, {}, b"why")) == outcome


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("loki+http://h:3100", "/loki/api/v1/push"),
        ("loki+https://h/", "/loki/api/v1/push"),
        ("loki+https://h/behind/loki/api/v1/push", "/behind/loki/api/v1/push"),
    ],
)
def test_the_path_need_not_be_named(url: str, path: str) -> None:
    assert sink(url).encode([batch()]).path == path


async def test_the_tenant_is_named() -> None:
    async with LokiReceiver(tenant="one").listening() as receiver:
        for tenant, outcome in (("one", Delivered()), ("two", Misconfigured("it answered 401: no org id"))):
            made = sink(f"loki+http://127.0.0.1:{receiver.port}?tenant={tenant}")
            await made.open(None, forget)
            assert await made.probe() == outcome
            assert await made.deliver([batch()]) == outcome
            await made.close()
    assert len(receiver.inbox.records) == 5


async def test_a_line_too_long_for_loki_is_refused_and_its_neighbours_are_not_sent_twice() -> None:
    async with LokiReceiver().listening() as receiver:
        made = sink(f"loki+http://127.0.0.1:{receiver.port}")
        await made.open(None, forget)
        outcome = await made.deliver([batch([b"short", b"x" * (256 * 1024 + 1)])])
        await made.close()
    assert outcome == Refused(
        "it answered 400: max entry size '262144' bytes exceeded for 1 entries", isolate=False
    )
    assert [record.message for record in receiver.inbox.records] == ["short"]


def test_more_labels_than_loki_takes_are_a_fault() -> None:
    with pytest.raises(SettingsError, match="no more than 14"):
        sink("loki+http://h?labels=" + ",".join(f"l{number}" for number in range(15)))
    sink("loki+http://h?labels=" + ",".join(f"l{number}" for number in range(14)))
