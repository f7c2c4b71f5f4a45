"""GELF: what each transport does of its own."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from agent.batch import Batch
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from tests.receivers.gelf import GelfHttp, GelfTcp, GelfUdp
from tests.receivers.sent import batch, forget
from tests.receivers.web import Answer


async def sent(url: str, batches: Sequence[Batch]) -> Outcome:
    sink = parse_sink("it", url)
    await sink.open(None, forget)
    try:
        return await sink.deliver(batches)
    finally:
        await sink.close()


def printable(size: int) -> bytes:
    """So many bytes that compression halves at the best."""
    return random.Random(size).randbytes(size // 2).hex().encode()


@pytest.mark.parametrize("compress", ["gzip", "zlib", "none"])
async def test_large_messages_go_in_chunks(compress: str) -> None:
    texts = [b"small", printable(20_000), b"x" * 20_000, b"small again"]
    async with GelfUdp().listening() as receiver:
        url = f"gelf+udp://127.0.0.1:{receiver.port}?compress={compress}"
        assert await sent(url, [batch(texts)]) == Delivered()
        records = await receiver.inbox.have(4)
    assert [record.message.encode() for record in records] == texts
    assert receiver.chunked == (2 if compress == "none" else 1)


async def test_much_to_compress_is_compressed_beside_the_loop() -> None:
    texts = [b"x" * 100_000] * 10
    async with GelfUdp().listening() as receiver:
        assert await sent(f"gelf+udp://127.0.0.1:{receiver.port}", [batch(texts)]) == Delivered()
        assert len(await receiver.inbox.have(10)) == 10


async def test_the_longest_datagram_is_as_configured() -> None:
    async with GelfUdp(most_bytes=8192).listening() as receiver:
        url = f"gelf+udp://127.0.0.1:{receiver.port}?chunk_bytes=8192"
        assert await sent(url, [batch([printable(7_000), printable(40_000)])]) == Delivered()
        await receiver.inbox.have(2)
    assert receiver.chunked == 1
    assert max(map(len, receiver.datagrams)) == 8192


async def test_more_than_graylog_s_chunks_hold_is_refused_and_its_neighbours_are_delivered() -> None:
    async with GelfUdp().listening() as receiver:
        outcome = await sent(
            f"gelf+udp://127.0.0.1:{receiver.port}", [batch([b"a"]), batch([printable(500_000), b"b"])]
        )
        assert isinstance(outcome, Partial)
        assert list(outcome.refused) == [1]
        assert outcome.refused[1].endswith(" takes more than 128 chunks of 1420")
        assert [record.message for record in await receiver.inbox.have(2)] == ["a", "b"]


async def test_over_tcp_what_the_receiver_finds_too_long_is_refused() -> None:
    async with GelfTcp(most_bytes=10_000).listening() as receiver:
        url = f"gelf+tcp://127.0.0.1:{receiver.port}?max_bytes=10000"
        outcome = await sent(url, [batch([b"a", b"x" * 9_900, b"b"])])
        assert isinstance(outcome, Partial)
        assert list(outcome.refused) == [1]
        assert outcome.refused[1].endswith(" bytes, and max_bytes=10000")
        assert [record.message for record in await receiver.inbox.have(2)] == ["a", "b"]


async def test_over_http_each_record_is_a_request() -> None:
    """An input without bulk receiving answers 202 and drops all but the first."""
    receiver = GelfHttp()
    receiver.bulk = False
    async with receiver.listening():
        assert await sent(f"gelf+http://127.0.0.1:{receiver.port}", [batch(), batch([b"x"])]) == Delivered()
    assert len(receiver.inbox.records) == len(receiver.requests) == 6


async def test_over_http_in_bulk_a_batch_is_a_request() -> None:
    async with GelfHttp().listening() as receiver:
        url = f"gelf+http://127.0.0.1:{receiver.port}?bulk=true"
        assert await sent(url, [batch(), batch([b"two\nlines"])]) == Delivered()
    assert [record.message for record in receiver.inbox.records][-1] == "two\nlines"
    assert (len(receiver.inbox.records), len(receiver.requests)) == (6, 1)


@pytest.mark.parametrize(
    ("answers", "outcome", "kept"),
    [
        ([429], Retry("it answered 429", 7.0), 0),
        ([401], Misconfigured("it answered 401"), 0),
        ([202, 503], Partial(range(1, 5), {}, "it answered 503", 7.0), 1),
        ([202, 202, 403], Partial(range(2, 5), {}, "it answered 403"), 2),
        ([400, 202, 413], Partial((), {0: "it answered 400", 2: "it answered 413"}), 3),
        ([202, 400, 503], Partial(range(2, 5), {1: "it answered 400"}, "it answered 503", 7.0), 1),
    ],
)
async def test_over_http_each_answer_counts_for_its_record(
    answers: list[int], outcome: Outcome, kept: int
) -> None:
    async with GelfHttp().listening() as receiver:
        receiver.script += [Answer(status, headers={"Retry-After": "7"}) for status in answers]
        assert await sent(f"gelf+http://127.0.0.1:{receiver.port}", [batch()]) == outcome
    assert len(receiver.inbox.records) == kept


@pytest.mark.parametrize(
    ("status", "outcome"), [(413, TooLarge("it answered 413")), (400, Refused("it answered 400"))]
)
async def test_over_http_in_bulk_an_answer_counts_for_all(status: int, outcome: Outcome) -> None:
    async with GelfHttp().listening() as receiver:
        receiver.script.append(Answer(status))
        assert await sent(f"gelf+http://127.0.0.1:{receiver.port}?bulk=true", [batch()]) == outcome


async def test_a_probe_is_refused_the_method_and_leaves_nothing() -> None:
    """Not OPTIONS: Graylog answers that to whomever, credentials or not."""
    async with GelfHttp(authorization="Bearer right").listening() as receiver:
        for token, outcome in (("right", Delivered), ("wrong", Misconfigured)):
            sink = parse_sink("it", f"gelf+http://127.0.0.1:{receiver.port}/gelf?token={token}")
            await sink.open(None, forget)
            assert isinstance(await sink.probe(), outcome)
            await sink.close()
    assert {request.method for request in receiver.requests} == {"GET"}
    assert receiver.inbox.records == []


async def test_a_wrong_path_is_for_a_person_to_mend() -> None:
    async with GelfHttp().listening() as receiver:
        outcome = await sent(f"gelf+http://127.0.0.1:{receiver.port}/elsewhere", [batch()])
    assert outcome == Misconfigured("it answered 404")


async def test_the_usual_port_need_not_be_named() -> None:
    for scheme in ("gelf+udp", "gelf+tcp", "gelf+tls"):
        outcome = await sent(f"{scheme}://no-such-host.invalid", [batch()])
        assert isinstance(outcome, Retry)
        assert "no-such-host.invalid:12201" in outcome.why


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("gelf+udp://", "the host is missing, as in gelf+udp://host:12201"),
        ("gelf+tcp://h/gelf", "gelf+tcp takes no path after the port"),
        (
            "gelf+udp://h?chunk_bytes=100",
            "option 'chunk_bytes': '100' is not a whole number from 512 to 65507",
        ),
        ("gelf+udp://h?rate=50", "option 'rate': chunks of a message need 100 at the least"),
        ("gelf+udp://h?compress=zstd", "option 'compress': 'zstd' is not one of gzip, zlib, none"),
        ("gelf+tcp://h?compress=gzip", "option 'compress' is not known"),
        ("gelf+http://", "the host is missing, as in http://host/path"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems[0].startswith(f"sink it: {problem}")


@pytest.mark.parametrize(
    ("options", "records"), [("", 200), ("?batch_records=50", 50), ("?bulk=true", 10_000)]
)
def test_requests_of_one_record_each_are_answered_for_in_small_groups(options: str, records: int) -> None:
    assert parse_sink("it", f"gelf+http://h{options}").options.batch_records == records
