"""A connection to a broker, played by one that speaks through pamqp."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pamqp.frame
import pytest
from pamqp import commands, header
from pamqp.body import ContentBody

from agent.transport import TransportError, amqp
from agent.transport.amqp import AmqpTalk, ClosedError, Receipts
from agent.transport.stream import Address
from tests.receivers.received import DEADLINE_S
from tests.receivers.served import served

PUBLISHED = b"12345678"  # what is published is the broker's to count


class Broker:
    """The broker's side: `hear` a method of ours, `say` one of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self, kind: type) -> Any:  # noqa: ANN401 - whatever method is expected
        head = await self._reader.readexactly(7)
        rest = await self._reader.readexactly(int.from_bytes(head[3:], "big") + 1)
        _, _, frame = pamqp.frame.unmarshal(head + rest)
        assert isinstance(frame, kind), frame
        return frame

    async def say(self, *frames: Any, channel: int = 1) -> None:  # noqa: ANN401
        for frame in frames:
            self._writer.write(pamqp.frame.marshal(frame, channel))
        await self._writer.drain()

    async def take(self) -> None:
        """What was published."""
        assert await self._reader.readexactly(len(PUBLISHED)) == PUBLISHED

    async def welcome(self, frame_max: int = 131072) -> None:
        """The course of a connection, up to the first message."""
        assert await self._reader.readexactly(8) == b"AMQP\0\0\x09\x01"
        await self.say(commands.Connection.Start(server_properties={"product": "played"}), channel=0)
        await self.hear(commands.Connection.StartOk)
        await self.say(commands.Connection.Tune(10, frame_max, 60), channel=0)
        tuned = await self.hear(commands.Connection.TuneOk)
        assert (tuned.channel_max, tuned.heartbeat) == (10, 0)
        assert tuned.frame_max <= (frame_max or tuned.frame_max)
        opened = await self.hear(commands.Connection.Open)
        assert opened.virtual_host == "shop"
        await self.say(commands.Connection.OpenOk(), channel=0)
        await self.hear(commands.Channel.Open)
        await self.say(commands.Channel.OpenOk())
        await self.hear(commands.Confirm.Select)
        await self.say(commands.Confirm.SelectOk())

    async def gone(self) -> None:
        """Answer the good-bye, and wait for the end of the connection."""
        await self.hear(commands.Connection.Close)
        await self.say(commands.Connection.CloseOk(), channel=0)
        assert await self._reader.read() == b""


Course: TypeAlias = Callable[[Broker], Awaitable[None]]


@contextlib.asynccontextmanager
async def talking(course: Course, *, welcome: bool = True) -> AsyncIterator[AmqpTalk]:
    """A talk with a broker that is `course` after the welcome."""
    faults: list[AssertionError] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker = Broker(reader, writer)
        try:
            if welcome:
                await broker.welcome()
            await course(broker)
        except AssertionError as fault:
            faults.append(fault)

    async with served(serve) as where, asyncio.timeout(DEADLINE_S):
        talk = AmqpTalk(Address(*where))
        if welcome:
            await begin(talk)
        yield talk
        talk.end()
        await talk.ended()
    assert faults == []


async def begin(talk: AmqpTalk) -> None:
    await talk.begin(None, "user", "password", "shop")


@pytest.mark.parametrize(("asked", "agreed"), [(0, 131072), (4096, 4096), (1 << 20, 131072)])
async def test_frames_are_no_larger_than_both_want(asked: int, agreed: int) -> None:
    async def course(broker: Broker) -> None:
        await broker.welcome(asked)
        await broker.gone()

    async with talking(course, welcome=False) as talk:
        await begin(talk)
        assert talk.frame_bytes == agreed


async def test_a_broker_that_refuses_the_login_says_why() -> None:
    """Without the password, though it repeats that."""

    async def course(broker: Broker) -> None:
        await broker._reader.readexactly(8)
        await broker.say(commands.Connection.Start(server_properties={}), channel=0)
        await broker.hear(commands.Connection.StartOk)
        await broker.say(commands.Connection.Close(403, "ACCESS_REFUSED - not 'password'", 0, 0), channel=0)
        await broker.hear(commands.Connection.CloseOk)

    async with talking(course, welcome=False) as talk:
        with pytest.raises(ClosedError, match=r"it answered 403: ACCESS_REFUSED - not '\*\*\*'$") as caught:
            await begin(talk)
        assert caught.value.code == 403


@pytest.mark.parametrize(
    ("frames", "receipts"),
    [
        ([commands.Basic.Ack(5, multiple=True)], Receipts()),
        ([commands.Basic.Ack(tag) for tag in (3, 1, 5, 2, 4)], Receipts()),
        ([commands.Basic.Ack(2), commands.Basic.Ack(5, multiple=True)], Receipts()),
        (
            [commands.Basic.Ack(2), commands.Basic.Nack(4, multiple=True), commands.Basic.Ack(5)],
            Receipts(rejected=frozenset({0, 2, 3})),
        ),
        (
            [commands.Basic.Nack(2), commands.Basic.Ack(5, multiple=True)],
            Receipts(rejected=frozenset({1})),
        ),
    ],
)
async def test_confirmations_come_one_by_one_or_many_at_once(frames: list[Any], receipts: Receipts) -> None:
    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(*frames)
        await broker.gone()

    async with talking(course) as talk:
        assert await talk.publish(PUBLISHED, 5) == receipts


async def test_the_numbers_of_messages_go_on_from_request_to_request() -> None:
    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(commands.Basic.Ack(1), commands.Basic.Ack(3), commands.Basic.Ack(2))
        await broker.take()
        await broker.say(commands.Basic.Nack(5), commands.Basic.Ack(5, multiple=True))
        await broker.gone()

    async with talking(course) as talk:
        assert await talk.publish(PUBLISHED, 3) == Receipts()
        assert await talk.publish(PUBLISHED, 2) == Receipts(rejected=frozenset({1}))


async def test_what_no_queue_wants_comes_back() -> None:
    properties = commands.Basic.Properties(content_type="text/plain", message_id="the second")

    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(
            commands.Basic.Ack(1),
            commands.Basic.Return(312, "NO_ROUTE", "logs", "key"),
            header.ContentHeader(0, 4, properties),
            ContentBody(b"body"),
            commands.Basic.Ack(2),
        )
        await broker.gone()

    async with talking(course) as talk:
        assert await talk.publish(PUBLISHED, 2) == Receipts(returned={b"the second": "312 NO_ROUTE"})


async def test_a_closed_channel_tells_what_is_known_and_why_the_rest_is_not() -> None:
    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(
            commands.Basic.Ack(1), commands.Channel.Close(404, "NOT_FOUND - no exchange", 60, 40)
        )
        await broker.hear(commands.Channel.CloseOk)
        await broker.gone()

    async with talking(course) as talk:
        receipts = await talk.publish(PUBLISHED, 3)
        assert receipts.unknown == {1, 2}
        assert isinstance(receipts.broken, ClosedError)
        assert receipts.broken.code == 404
        assert str(receipts.broken).endswith("it answered 404: NOT_FOUND - no exchange")
        assert talk.lost is receipts.broken


async def test_a_connection_that_breaks_leaves_the_unconfirmed_unknown() -> None:
    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(commands.Basic.Ack(2, multiple=True))

    async with talking(course) as talk:
        receipts = await talk.publish(PUBLISHED, 3)
    assert receipts.unknown == {2}
    assert "the peer closed the connection" in str(receipts.broken)


async def test_a_broker_that_does_not_answer_our_good_bye_is_left_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(amqp, "PARTING_S", 0.05)

    async def course(broker: Broker) -> None:
        await broker.hear(commands.Connection.Close)
        assert await broker._reader.read() == b""

    async with talking(course):
        pass


async def test_a_blocked_connection_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp, "BLOCKED_S", 0.05)

    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(commands.Connection.Blocked("low on memory"), channel=0)
        await broker.say(commands.Basic.Ack(1))
        assert await broker._reader.read() == b""

    async with talking(course) as talk:
        receipts = await talk.publish(PUBLISHED, 2)
    assert receipts.unknown == {1}
    assert str(receipts.broken).endswith("it takes nothing for now: low on memory")


async def test_a_connection_that_is_unblocked_in_time_goes_on() -> None:
    async def course(broker: Broker) -> None:
        await broker.take()
        await broker.say(commands.Connection.Blocked("low on disk"), channel=0)
        await broker.say(commands.Connection.Unblocked(), channel=0)
        await broker.say(commands.Basic.Ack(2, multiple=True))
        await broker.gone()

    async with talking(course) as talk:
        assert await talk.publish(PUBLISHED, 2) == Receipts()


@pytest.mark.parametrize(
    "frame",
    [commands.Queue.DeclareOk("other", 0, 0), commands.Basic.CancelOk("tag")],
    ids=["known", "unknown"],
)
async def test_an_answer_that_nobody_asked_for_ends_the_talk(frame: Any) -> None:  # noqa: ANN401
    async def course(broker: Broker) -> None:
        await broker.hear(commands.Exchange.Declare)
        await broker.say(frame)

    async with talking(course) as talk:
        with pytest.raises(TransportError):
            await talk.find_exchange("logs")


async def test_what_is_there_is_found() -> None:
    async def course(broker: Broker) -> None:
        await broker.hear(commands.Exchange.Declare)
        await broker.say(commands.Exchange.DeclareOk())
        await broker.hear(commands.Queue.Declare)
        await broker.say(commands.Queue.DeclareOk("logs", 0, 0))
        await broker.gone()

    async with talking(course) as talk:
        await talk.find_exchange("logs")
        await talk.find_queue("logs")
