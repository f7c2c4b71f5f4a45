"""What the Forward protocol demands beyond bytes; what all sinks promise is tests/contract."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from agent.encode.forward import CHUNK_BYTES
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Partial, Retry, Sink
from tests.receivers.forward import ForwardReceiver
from tests.receivers.received import DEADLINE_S
from tests.receivers.sent import batch, container, forget
from tests.receivers.served import served


@contextlib.asynccontextmanager
async def between(receiver: ForwardReceiver, options: str = "") -> AsyncIterator[Sink[Any]]:
    """An open sink that delivers to `receiver`, which listens."""
    async with receiver.listening():
        sink = parse_sink("it", f"fluent+tcp://127.0.0.1:{receiver.port}?{options}")
        await sink.open(None, forget)
        try:
            yield sink
        finally:
            await sink.close()
    assert receiver.inbox.faults == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("fluent+tcp://", "the host is missing, as in fluent+tcp://host:24224"),
        ("fluent+tls://h/path", "fluent+tls takes no path after the port"),
        (
            "fluent+unix://host/run/fluent.sock",
            "the path of a socket is needed, as in fluent+unix:///run/fluent.sock",
        ),
        ("fluent+unix://", "the path of a socket is needed, as in fluent+unix:///run/fluent.sock"),
        ("fluent+tcp://h?chunk_bytes=0", "option 'chunk_bytes' is at least 64KiB"),
        ("fluent+tcp://me:pw@h", "user and password need shared_key, too"),
        ("fluent+tcp://me@h?shared_key=k", "user and password go together"),
        (
            "fluent+tcp://h?shared_key=k&ack=false",
            "a receiver with shared_key acknowledges: leave ack=false out",
        ),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems == (f"sink it: {problem}",)


def test_a_template_that_is_none_is_said_at_once() -> None:
    with pytest.raises(SettingsError, match=r"option 'tag': .* is not a template"):
        parse_sink("it", "fluent+tcp://h?tag={{.Nmae}}")


async def test_the_tag_is_the_records_own_or_the_options() -> None:
    for options, tags in (
        ("", ["web", "db"]),
        ("tag=docker.{{.Name}}", ["docker.web", "docker.db"]),
        ("tag=all", ["all"]),
    ):
        receiver = ForwardReceiver()
        async with between(receiver, options) as sink:
            assert await sink.deliver([batch(), batch(of=container("db"))]) == Delivered()
        assert [message.tag for message in receiver.messages] == tags


async def test_each_message_has_an_id_of_its_own() -> None:
    receiver = ForwardReceiver()
    async with between(receiver) as sink:
        for _ in range(3):
            assert await sink.deliver([batch(), batch(of=container("db"))]) == Delivered()
    assert len(receiver.chunks) == 6


async def test_what_was_not_acknowledged_when_the_connection_broke_is_sent_again_alone() -> None:
    receiver = ForwardReceiver()
    async with between(receiver) as sink:
        receiver.script += ["take", "hang up"]
        outcome = await sink.deliver([batch([b"1", b"2"]), batch([b"3"], of=container("db")), batch([b"4"])])
    assert isinstance(outcome, Partial)
    assert list(outcome.retry) == [2]
    assert [record.message for record in receiver.inbox.records] == ["1", "2", "4"]


async def test_a_receiver_that_swallows_is_tried_again_after_the_timeout() -> None:
    """Fluentd does so with a message larger than its chunk_size_limit."""
    receiver = ForwardReceiver()
    async with between(receiver, "timeout=200ms") as sink:
        receiver.script += ["swallow"]
        assert await sink.deliver([batch()]) == Retry(
            f"127.0.0.1:{receiver.port} did not answer within 0.2 s"
        )
        assert await sink.deliver([batch()]) == Delivered()
    assert len(receiver.inbox.records) == 5
    assert receiver.connections == 2


async def test_a_late_acknowledgement_of_another_message_is_not_taken_for_this_ones() -> None:
    receiver = ForwardReceiver()
    async with between(receiver, "timeout=500ms") as sink:
        receiver.script += ["take", "ack later"]
        outcome = await sink.deliver([batch([b"1"]), batch([b"2"], of=container("db"))])
    assert isinstance(outcome, Partial)
    assert list(outcome.retry) == [1]


async def test_several_requests_at_once_have_a_connection_each() -> None:
    receiver = ForwardReceiver()
    async with between(receiver, "concurrency=3") as sink, asyncio.TaskGroup() as group:
        tasks = [group.create_task(sink.deliver([batch([b"%d" % number])])) for number in range(3)]
        await receiver.inbox.have(3)
    assert [task.result() for task in tasks] == [Delivered()] * 3
    assert receiver.connections == 3


async def test_a_connection_is_kept() -> None:
    receiver = ForwardReceiver(shared_key="k")
    async with between(receiver, "shared_key=k") as sink:
        assert await sink.probe() == Delivered()
        for _ in range(3):
            assert await sink.deliver([batch()]) == Delivered()
    assert receiver.connections == 1


async def test_a_record_that_fits_no_chunk_is_refused_and_its_neighbours_are_delivered() -> None:
    receiver = ForwardReceiver()
    why = "with its metadata it has more than 5MiB, chunk_bytes"
    async with between(receiver) as sink:
        outcome = await sink.deliver([batch([b"1", b"x" * CHUNK_BYTES, b"2"])])
        assert outcome == Partial(refused={1: why})
        assert await sink.deliver([batch([b"x" * CHUNK_BYTES])]) == Partial(refused={0: why})
    assert [record.message for record in receiver.inbox.records] == ["1", "2"]


async def test_messages_keep_to_the_size_that_the_receiver_takes() -> None:
    receiver = ForwardReceiver()
    async with between(receiver, "chunk_bytes=64KiB&compress=gzip") as sink:
        assert await sink.deliver([batch([b"x" * 100] * 1_000)]) == Delivered()
    sizes = [len(msgpack.packb(message.records)) for message in receiver.messages]
    assert max(sizes) <= 64 * 1024
    assert sum(message.options["size"] for message in receiver.messages) == 1_000


async def test_without_acknowledgement_no_id_is_sent_and_its_kernel_is_enough() -> None:
    receiver = ForwardReceiver()
    async with between(receiver, "ack=false") as sink:
        assert await sink.deliver([batch()]) == Delivered()
        assert await sink.deliver([batch()]) == Delivered()
        await receiver.inbox.have(10)
    assert [set(message.options) for message in receiver.messages] == [{"size"}] * 2


async def test_without_acknowledgement_a_receiver_that_demands_a_key_is_noticed_all_the_same() -> None:
    receiver = ForwardReceiver(shared_key="k")
    async with between(receiver, "ack=false") as sink:
        outcome = await sink.deliver([batch()])
    assert isinstance(outcome, Misconfigured)
    assert "it demands a shared key" in outcome.why


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    receiver = ForwardReceiver(shared_key="k")
    async with (
        served(receiver.converse, path=tmp_path / "fluent.sock") as (path, _),
        asyncio.timeout(DEADLINE_S),
    ):
        sink = parse_sink("it", f"fluent+unix://{path}?shared_key=k&compress=gzip")
        await sink.open(None, forget)
        assert await sink.deliver([batch()]) == Delivered()
        await sink.close()
    assert len(receiver.inbox.records) == 5
    assert receiver.inbox.faults == []


async def test_a_socket_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    sink = parse_sink("it", f"fluent+unix://{tmp_path}/none.sock")
    await sink.open(None, forget)
    assert await sink.probe() == Retry(f"cannot connect to {tmp_path}/none.sock: No such file or directory")
