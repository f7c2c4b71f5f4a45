"""The record as a NATS message, read by a parser of the protocol that is not the sink's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agent.encode.nats import publications
from agent.level import Level
from tests.receivers.received import read_line
from tests.receivers.sent import batch, expected


@dataclass(frozen=True, slots=True)
class Message:
    subject: bytes
    reply: bytes
    header: bytes
    payload: bytes


def messages(data: bytes) -> Iterator[Message]:
    """What a server makes of HPUBs: sizes are counted, and nothing may be left."""
    while data:
        line, _, data = data.partition(b"\r\n")
        word, subject, reply, head, total = line.split(b" ")
        assert word == b"HPUB"
        assert 0 < int(head) <= int(total)
        assert data[int(total) : int(total) + 2] == b"\r\n"
        yield Message(subject, reply, data[: int(head)], data[int(head) : int(total)])
        data = data[int(total) + 2 :]


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 1_000_000))
def test_each_record_is_a_message_with_its_id(column: list[bytes], first: int) -> None:
    sent = batch(column)
    made = publications(sent, b"logs.web", b"_INBOX.me", first)
    found = list(messages(b"".join(made.commands)))
    assert [read_line(message.payload) for message in found] == expected([sent])
    assert [message.header for message in found] == [
        f"NATS/1.0\r\nNats-Msg-Id: {record.id}\r\n\r\n".encode() for record in expected([sent])
    ]
    assert {message.subject for message in found} <= {b"logs.web"}
    assert [message.reply for message in found] == [
        b"_INBOX.me.%d" % (first + row) for row in range(len(column))
    ]
    assert list(made.sizes) == [len(message.header) + len(message.payload) for message in found]


def test_a_known_level_is_a_header() -> None:
    sent = batch([b"x", b"y"])
    sent.levels = bytes([Level.ERROR, 0])
    made = publications(sent, b"logs.web", b"_INBOX.me", 0)
    first, second = messages(b"".join(made.commands))
    ids = [record.id for record in expected([sent])]
    assert first.header.decode() == f"NATS/1.0\r\nNats-Msg-Id: {ids[0]}\r\nLevel: error\r\n\r\n"
    assert second.header.decode() == f"NATS/1.0\r\nNats-Msg-Id: {ids[1]}\r\n\r\n"
    assert list(made.sizes) == [len(each.header) + len(each.payload) for each in (first, second)]
