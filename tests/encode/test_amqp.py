"""Messages of AMQP, taken apart by pamqp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, header

from agent.batch import Batch, Container
from agent.encode.amqp import a_record_each, many_records_each
from agent.encode.ndjson import ndjson
from agent.level import Level
from agent.transport.amqp_frames import publish
from tests.encode.batches import batches
from tests.receivers.sent import START_NS, batch, container

SMALLEST_FRAME = 4096  # the least a broker may ask for


@dataclass(frozen=True, slots=True)
class Message:
    """One message, put together from its frames."""

    publish: commands.Basic.Publish
    properties: commands.Basic.Properties
    body: bytes


def frames(data: bytes, largest: int) -> Iterator[object]:
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 1
        assert size <= largest
        data = data[size:]
        yield frame


def messages(data: bytes, largest: int = SMALLEST_FRAME) -> Iterator[Message]:
    """Each message; a frame that is out of place is an AssertionError."""
    coming = frames(data, largest)
    for first in coming:
        assert isinstance(first, commands.Basic.Publish)
        head = next(coming)
        assert isinstance(head, header.ContentHeader)
        content = b""
        while len(content) < head.body_size:
            piece = next(coming)
            assert isinstance(piece, body.ContentBody)
            content += piece.value
        assert len(content) == head.body_size
        yield Message(first, head.properties, content)


def way(of: Container) -> bytes:
    return publish("logs", f"to.{of.name}", mandatory=True)


@given(st.lists(batches(), max_size=3))
def test_each_record_is_a_message(sent: list[Batch]) -> None:
    made = a_record_each(sent, way, SMALLEST_FRAME)
    got = list(messages(made.data))
    assert [message.body for message in got] == [
        line for each in sent for line in ndjson(each).split(b"\n")[:-1]
    ]
    assert [message.properties.message_id for message in got] == [
        record.decode() for each in sent for record in each.ids()
    ]
    assert [message.publish.routing_key for message in got] == [
        f"to.{each.container.name}" for each in sent for _ in range(len(each))
    ]
    assert list(made.records) == [1] * len(got)
    assert [record.decode() for record in made.ids] == [message.properties.message_id for message in got]
    assert list(made.sizes) == [len(message.body) for message in got]


@given(st.lists(batches(), max_size=3))
def test_the_records_of_a_request_are_one_message_for_each_way(sent: list[Batch]) -> None:
    made = many_records_each(sent, way, SMALLEST_FRAME)
    got = list(messages(made.data))
    assert b"".join(message.body for message in got) == b"".join(map(ndjson, sent))
    assert [message.body.count(b"\n") for message in got] == list(made.records)
    assert list(made.sizes) == [len(message.body) for message in got]
    assert [record.decode() for record in made.ids] == [message.properties.message_id for message in got]


def test_neighbours_that_go_the_same_way_are_one_message() -> None:
    web, db = container("web"), container("db")
    sent = [batch([b"1"], of=web), batch([b"2"], of=web), batch([b"3"], of=db), batch([b"4"], of=web)]
    assert list(many_records_each(sent, way, SMALLEST_FRAME).records) == [2, 1, 1]


@pytest.mark.parametrize(("encode", "kind"), [(a_record_each, "json"), (many_records_each, "x-ndjson")])
def test_a_message_says_what_it_is(encode: type, kind: str) -> None:
    [message] = messages(encode([batch([b"one"])], way, SMALLEST_FRAME).data)
    properties = message.properties
    assert properties.content_type == f"application/{kind}"
    assert (properties.delivery_mode, properties.app_id) == (2, "dockferry")
    assert properties.timestamp is not None
    assert properties.timestamp.timestamp() == START_NS // 10**9
    assert (message.publish.exchange, message.publish.mandatory) == ("logs", True)


@pytest.mark.parametrize("more", range(-2, 3))
@pytest.mark.parametrize("frames_needed", [1, 2, 3])
def test_a_long_message_is_cut_to_the_frames_of_the_broker(frames_needed: int, more: int) -> None:
    """At the border, and around it."""
    overhead = len(ndjson(batch([b""]))) - 1
    message = b"x" * (frames_needed * (SMALLEST_FRAME - 8) - overhead + more)
    [got, after] = messages(a_record_each([batch([message, b"after"])], way, SMALLEST_FRAME).data)
    assert len(got.body) == len(message) + overhead
    assert got.body + b"\n" + after.body + b"\n" == ndjson(batch([message, b"after"]))


def test_a_time_before_the_epoch_has_no_place_and_becomes_it() -> None:
    [message] = messages(a_record_each([batch([b"x"], start_ns=-1)], way, SMALLEST_FRAME).data)
    assert message.properties.timestamp is not None
    assert message.properties.timestamp.timestamp() == 0


def test_a_known_level_is_a_header_of_a_record_s_message() -> None:
    sent = batch([b"x", b"y"])
    sent.levels = bytes([Level.ERROR, 0])
    first, second = messages(a_record_each([sent], way, SMALLEST_FRAME).data)
    assert (first.properties.headers, second.properties.headers) == ({"level": "error"}, None)
    assert first.properties.message_id == sent.ids()[0].decode()
    [both] = messages(many_records_each([sent], way, SMALLEST_FRAME).data)
    assert both.properties.headers is None
