"""What every sink promises, run for each of them against a strict receiver on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from agent.batch import Batch, Stream
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, Sink, TooLarge
from tests.receivers.certificates import PrivateCa
from tests.receivers.loki import LokiReceiver
from tests.receivers.received import Inbox, Received, read_line
from tests.receivers.sent import batch, container, expected, forget
from tests.receivers.tcp import TcpReceiver
from tests.receivers.web import Answer, HttpReceiver

SECRET = "s3cr3t-enough"


Receiver: TypeAlias = HttpReceiver | LokiReceiver | TcpReceiver


@dataclass(frozen=True, slots=True)
class Case:
    """A sink and its receiver. `url` takes the port, and `tls` with it."""

    name: str
    receiver: Callable[..., Any]
    url: str
    tls_url: str
    options: str = ""

    def sink(self, port: int, *, tls: bool = False, more: str = "") -> Sink[Any]:
        options = "&".join(filter(None, [self.options, more]))
        return parse_sink("it", f"{(self.tls_url if tls else self.url).format(port=port)}?{options}")


HTTP = Case("http", HttpReceiver, "http://127.0.0.1:{port}/logs", "https://127.0.0.1:{port}/logs")
WEB = [
    HTTP,
    replace(HTTP, name="http-json-gzip", options="format=json&compress=gzip"),
    replace(HTTP, name="http-zstd", options="compress=zstd"),
    Case(
        "loki", LokiReceiver, "loki+http://127.0.0.1:{port}", "loki+https://127.0.0.1:{port}/loki/api/v1/push"
    ),
]
NETWORK = [*WEB, Case("tcp", TcpReceiver, "tcp://127.0.0.1:{port}", "tls://127.0.0.1:{port}")]

of_network = pytest.mark.parametrize("case", NETWORK, ids=lambda case: case.name)
of_web = pytest.mark.parametrize("case", WEB, ids=lambda case: case.name)


@contextlib.asynccontextmanager
async def opened(sink: Sink[Any]) -> AsyncIterator[Sink[Any]]:
    await sink.open(None, forget)
    try:
        yield sink
    finally:
        await sink.close()


@contextlib.asynccontextmanager
async def between(
    case: Case,
    *,
    server: ssl.SSLContext | None = None,
    more: str = "",
    **how: str | int | None,
) -> AsyncIterator[tuple[Receiver, Sink[Any]]]:
    """A receiver and a sink that talks to it, both open."""
    receiver = case.receiver(**how)
    async with (
        receiver.listening(server),
        opened(case.sink(receiver.port, tls=bool(server), more=more)) as sink,
    ):
        yield receiver, sink


def arrived(case: Case, records: list[Received]) -> list[Received]:
    """Loki keeps names of labels in its own letters; they are compared in those."""
    if case.receiver is not LokiReceiver:
        return records
    restored = {"com_example_team": "com.example.team"}
    return [
        replace(record, labels={restored.get(name, name): value for name, value in record.labels.items()})
        for record in records
    ]


def several() -> list[Batch]:
    """Two containers, both streams, an empty line, one that was cut and one that is not UTF-8."""
    return [
        batch(),
        batch([b"cut here", b"not \xff\xfe utf-8 \xe2\x82"], stream=Stream.STDERR, truncated=[0]),
        batch([b"of another"], of=container("db")),
    ]


def noise(count: int, size: int) -> list[bytes]:
    """Messages of `size` printable bytes that no compression makes much smaller; the same ones each time."""
    chance = random.Random(count)
    return [base64.b85encode(chance.randbytes(size * 4 // 5)) for _ in range(count)]


async def until(deliver: Callable[[], Awaitable[Outcome]], wanted: type[Outcome]) -> Outcome:
    """Deliver again and again, as the runner does, until the outcome is `wanted`; three times at most."""
    outcome = None
    for _ in range(3):
        outcome = await deliver()
        if isinstance(outcome, wanted):
            return outcome
    raise AssertionError(f"still {outcome}")


class TestEverySinkOfTheNetwork:
    @of_network
    async def test_delivers_every_record_once_in_order_with_its_metadata(self, case: Case) -> None:
        sent = several()
        async with between(case) as (receiver, sink):
            assert await sink.deliver(sent) == Delivered()
            records = await receiver.inbox.have(len(expected(sent)))
        assert sorted(arrived(case, records), key=str) == sorted(expected(sent), key=str)
        for each in sent:
            ids = [record.id for record in expected([each])]
            assert [record.id for record in records if record.id in ids] == ids

    @of_network
    async def test_counts_what_is_not_utf8(self, case: Case) -> None:
        sent = several()
        async with between(case) as (_, sink):
            assert await sink.deliver(sent) == Delivered()
        assert [each.undecodable for each in sent] == [0, 1, 0]

    @of_network
    async def test_a_probe_says_well_and_leaves_no_record(self, case: Case) -> None:
        async with between(case) as (receiver, sink):
            assert await sink.probe() == Delivered()
            assert await sink.deliver([batch([b"after"])]) == Delivered()
            records = await receiver.inbox.have(1)
        assert [record.message for record in records] == ["after"]

    @of_network
    async def test_a_receiver_that_is_not_there_is_tried_again_and_found(self, case: Case) -> None:
        receiver = case.receiver()
        async with receiver.listening():
            pass
        async with opened(case.sink(receiver.port)) as sink:
            outcome = await sink.deliver([batch()])
            assert isinstance(outcome, Retry)
            assert f"127.0.0.1:{receiver.port}: Connection refused" in outcome.why
            assert isinstance(await sink.probe(), Retry)
            async with receiver.listening():
                assert await sink.deliver([batch()]) == Delivered()
                await receiver.inbox.have(5)

    @of_network
    async def test_a_receiver_that_restarted_between_two_requests_gets_both(self, case: Case) -> None:
        receiver = case.receiver()
        async with receiver.listening(), opened(case.sink(receiver.port)) as sink:
            assert await sink.deliver([batch([b"one"])]) == Delivered()
            await receiver.inbox.have(1)
            await receiver_again(receiver, sink)

    @of_network
    async def test_a_name_that_does_not_exist_is_tried_again(self, case: Case) -> None:
        sink = parse_sink("it", case.url.replace("127.0.0.1", "no-such-host.invalid").format(port=1))
        async with opened(sink):
            outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Retry)
        assert "no-such-host.invalid:1" in outcome.why

    @of_network
    async def test_a_reset_in_the_middle_is_tried_again_whole(self, case: Case) -> None:
        sent = [batch(noise(5000, 200))]
        async with between(case) as (receiver, sink):
            reset_next(receiver)
            outcome = await sink.deliver(sent)
            assert isinstance(outcome, Retry)
            assert outcome.why.startswith(f"127.0.0.1:{receiver.port}: ")
            await until(lambda: sink.deliver(sent), Delivered)
            records = await receiver.inbox.have(5000)
        assert {record.id for record in expected(sent)} <= {record.id for record in records}

    @of_network
    async def test_cancelled_in_the_middle_it_is_whole_and_goes_on(self, case: Case) -> None:
        sent = [batch(noise(5000, 200))]
        async with between(case) as (receiver, sink):
            for turns in range(12):
                await cancelled_after(turns, sink.deliver(sent))
            receiver.inbox.faults.clear()  # a cut request is the receiver's to refuse
            assert await sink.deliver([batch([b"and on"])]) == Delivered()
            await receiver.inbox.until(
                lambda: "and on" in (record.message for record in receiver.inbox.records)
            )

    @of_network
    async def test_tls_with_a_private_authority(self, case: Case, tmp_path: Path) -> None:
        ca = PrivateCa(tmp_path)
        async with between(case, server=ca.server(), more=f"ca={ca.ca_file}") as (receiver, sink):
            assert await sink.probe() == Delivered()
            assert await sink.deliver([batch()]) == Delivered()
            await receiver.inbox.have(5)

    @of_network
    async def test_an_untrusted_authority_is_for_a_person_to_mend(self, case: Case, tmp_path: Path) -> None:
        async with between(case, server=PrivateCa(tmp_path).server()) as (receiver, sink):
            outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Misconfigured)
        assert "its certificate is not trusted: " in outcome.why
        assert receiver.inbox.records == []

    @of_network
    async def test_a_wrong_name_is_for_a_person_to_mend(self, case: Case, tmp_path: Path) -> None:
        ca = PrivateCa(tmp_path)
        async with between(case, server=ca.server("elsewhere.example"), more=f"ca={ca.ca_file}") as (
            receiver,
            sink,
        ):
            outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Misconfigured)
        assert "127.0.0.1" in outcome.why
        assert receiver.inbox.records == []

    @of_network
    async def test_verify_off_takes_any_certificate(self, case: Case, tmp_path: Path) -> None:
        async with between(
            case, server=PrivateCa(tmp_path).server("elsewhere.example"), more="verify=off"
        ) as (receiver, sink):
            assert await sink.deliver([batch()]) == Delivered()
            await receiver.inbox.have(5)

    @of_network
    async def test_a_receiver_that_asks_who_we_are_is_told(self, case: Case, tmp_path: Path) -> None:
        ca = PrivateCa(tmp_path)
        cert, key = ca.client()
        ours = f"ca={ca.ca_file}&cert={cert}&key={key}"
        async with between(case, server=ca.server(clients=True), more=ours) as (receiver, sink):
            assert await sink.deliver([batch()]) == Delivered()
            await receiver.inbox.have(5)


class TestEverySinkOverHttp:
    @of_web
    async def test_waits_as_long_as_a_throttling_receiver_says(self, case: Case) -> None:
        assert await after(case, Answer(429, headers={"Retry-After": "7"})) == Retry("it answered 429", 7.0)

    @of_web
    async def test_a_receiver_in_trouble_is_tried_again_until_it_is_well(self, case: Case) -> None:
        receiver = case.receiver()
        receiver.script += [Answer(503, "starting"), Answer(500)]
        async with receiver.listening(), opened(case.sink(receiver.port)) as sink:
            assert await sink.deliver([batch()]) == Retry("it answered 503: starting")
            assert await sink.deliver([batch()]) == Retry("it answered 500")
            assert await sink.deliver([batch()]) == Delivered()
        assert len(receiver.inbox.records) == 5

    @of_web
    async def test_a_receiver_that_does_not_answer_is_tried_again(self, case: Case) -> None:
        assert await after(case, Answer(delay=30), "timeout=200ms") == Retry("it: no answer within 0.2 s")

    @of_web
    async def test_too_large_a_request_is_to_be_split(self, case: Case) -> None:
        big = batch(noise(8, 4000))
        async with between(case, most_bytes=20_000) as (receiver, sink):
            assert await sink.deliver([big]) == TooLarge("it answered 413: too long")
            assert await sink.deliver([big.rows(0, 4)]) == Delivered()
            assert await sink.deliver([big.rows(4, 8)]) == Delivered()
        assert [record.message.encode() for record in receiver.inbox.records] == big.messages

    @of_web
    async def test_a_refused_request_says_why(self, case: Case) -> None:
        refused = await after(case, Answer(400, "entry too far behind"))
        assert refused == Refused(
            "it answered 400: entry too far behind", isolate=case.receiver is not LokiReceiver
        )

    @of_web
    @pytest.mark.parametrize("status", [401, 403, 404, 405])
    async def test_credentials_and_paths_are_for_a_person_to_mend(self, case: Case, status: int) -> None:
        assert await after(case, Answer(status)) == Misconfigured(f"it answered {status}")

    @of_web
    async def test_a_redirect_is_told_and_not_followed(self, case: Case) -> None:
        away = Answer(302, headers={"Location": f"https://elsewhere.example:1/path?token={SECRET}"})
        outcome = await after(case, away)
        assert isinstance(outcome, Misconfigured)
        assert "elsewhere.example" in outcome.why
        assert SECRET not in outcome.why

    @of_web
    async def test_the_right_credentials_are_sent(self, case: Case) -> None:
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
        self, case: Case, given: str, caplog: pytest.LogCaptureFixture
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
        self, case: Case, monkeypatch: pytest.MonkeyPatch
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


class TestTheConsole:
    async def test_delivers_every_record_once_in_order_with_its_metadata(self) -> None:
        ours, theirs = os.pipe()
        sent = several()
        inbox = Inbox()
        with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "wb"):
            sink = console_on(theirs, "format=json")
            async with opened(sink):
                assert await sink.probe() == Delivered()
                assert await sink.deliver(sent) == Delivered()
                inbox.add([read_line(reader.readline()[:-1]) for _ in expected(sent)])
        assert inbox.records == expected(sent)


async def receiver_again(receiver: Receiver, sink: Sink[Any]) -> None:
    """Close the receiver's connections; the next request needs a new one."""
    if isinstance(receiver, TcpReceiver):
        receiver.hang_up()
        await receiver.inbox.until(lambda: bool(receiver.endings))
    else:
        receiver.script.append(Answer(cut=True))
    await until(lambda: sink.deliver([batch([b"two"])]), Delivered)
    records = await receiver.inbox.have(2)
    assert {record.message for record in records} == {"one", "two"}


def reset_next(receiver: Receiver) -> None:
    if isinstance(receiver, TcpReceiver):
        receiver.reset_after = 100_000
    else:
        receiver.script.append(Answer(cut=True))


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


async def cancelled_after(turns: int, deliver: Coroutine[Any, Any, Outcome]) -> None:
    """Cancel `deliver` after that many turns of the loop, wherever it is then."""
    async with asyncio.TaskGroup() as group:
        under_way = group.create_task(deliver)
        for _ in range(turns):
            await asyncio.sleep(0)
        under_way.cancel()


def console_on(fd: int, options: str) -> Sink[Any]:
    made = parse_sink("it", f"console:?{options}")
    return type(made)(made.target, made.options, fd=fd)  # type: ignore[call-arg]
