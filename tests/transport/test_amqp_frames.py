"""AMQP as bytes, taken apart and put together by pamqp."""

from __future__ import annotations

import struct
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, header
from pamqp.body import ContentBody

from agent.transport import TransportError
from agent.transport import amqp_frames as ours

SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def one(data: bytes) -> Any:  # noqa: ANN401 - pamqp has a class for each method
    size, _, frame = pamqp.frame.unmarshal(data)
    assert size == len(data)
    return frame


def fields(frame: Any) -> dict[str, Any]:  # noqa: ANN401
    return dict(frame)


@given(SHORT, SHORT)
def test_who_we_are(user: str, password: str) -> None:
    frame = one(ours.start_ok(user, password))
    assert isinstance(frame, commands.Connection.StartOk)
    assert (frame.mechanism, frame.locale) == ("PLAIN", "en_US")
    assert frame.response == f"\0{user}\0{password}"
    assert frame.client_properties is not None
    assert frame.client_properties["product"] == "dockferry"
    assert frame.client_properties["capabilities"] == {
        "authentication_failure_close": True,
        "basic.nack": True,
        "connection.blocked": True,
        "publisher_confirms": True,
    }


@given(SHORT, SHORT, st.booleans())
def test_where_a_message_goes(exchange: str, key: str, mandatory: bool) -> None:  # noqa: FBT001
    frame = one(ours.publish(exchange, key, mandatory=mandatory))
    assert isinstance(frame, commands.Basic.Publish)
    assert (frame.exchange, frame.routing_key, frame.mandatory, frame.immediate) == (
        exchange,
        key,
        mandatory,
        False,
    )


def test_asking_makes_nothing() -> None:
    for frame in (one(ours.declare_exchange("logs")), one(ours.declare_queue("logs"))):
        assert frame.passive is True
    assert one(ours.declare_exchange("logs")).exchange == "logs"
    assert one(ours.declare_queue("logs")).queue == "logs"


def test_the_good_bye() -> None:
    frame = one(ours.close())
    assert isinstance(frame, commands.Connection.Close)
    assert (frame.reply_code, frame.class_id, frame.method_id) == (200, 0, 0)


@pytest.mark.parametrize(("text", "kept"), [("x" * 300, 255), ("é" * 128, 254), ("€" * 85, 255)])
def test_a_name_that_is_too_long_is_cut_between_two_characters(text: str, kept: int) -> None:
    data = ours.short_text(text)
    assert data[0] == kept == len(data) - 1
    assert text.startswith(data[1:].decode())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": SHORT.filter(bool),
            "content_encoding": SHORT.filter(bool),
            "headers": st.dictionaries(SHORT.filter(bool), SHORT, min_size=1, max_size=2),
            "delivery_mode": st.sampled_from([1, 2]),
            "priority": st.integers(1, 9),
            "correlation_id": SHORT.filter(bool),
            "reply_to": SHORT.filter(bool),
            "expiration": SHORT.filter(bool),
            "message_id": SHORT.filter(bool),
            "app_id": SHORT.filter(bool),
        },
    )
)
def test_the_id_of_a_message_is_found_among_its_properties(properties: dict[str, Any]) -> None:
    whole = pamqp.frame.marshal(header.ContentHeader(0, 10, commands.Basic.Properties(**properties)), 1)
    [(kind, payload)] = ours.Frames().of(whole)
    assert kind == ours.HEADER
    assert ours.message_id(payload).decode() == properties.get("message_id", "")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=10), st.data())
def test_frames_are_found_wherever_they_are_cut(sizes: list[int], data: st.DataObject) -> None:
    frames = [pamqp.frame.marshal(ContentBody(b"\xce" * size), 1) for size in sizes]
    whole = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    reader = ours.Frames()
    got = [
        payload
        for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)
        for _, payload in reader.of(whole[start:stop])
    ]
    assert got == [b"\xce" * size for size in sizes]


@pytest.mark.parametrize(
    "answer",
    [b"AMQP\x00\x00\x09\x02", b"HTTP/1.1 400 Bad Request\r\n", struct.pack(">BHL", 1, 1, 1) + b"xx"],
)
def test_what_is_not_amqp_is_said_to_be_so(answer: bytes) -> None:
    with pytest.raises(TransportError, match="does not speak AMQP"):
        list(ours.Frames().of(answer))
