"""Replies of Redis, however they are cut on their way."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.transport import TransportError
from agent.transport.resp import Replies, RespTalk, command
from agent.transport.stream import Address
from tests.receivers.received import DEADLINE_S
from tests.receivers.served import served

NOWHERE = Address("nowhere", 1)
WORDS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)
REPLIES = st.one_of(
    WORDS.map(lambda word: f"+{word}\r\n".encode()),
    WORDS.map(lambda word: f"-ERR {word}\r\n".encode()),
    st.integers().map(lambda value: b":%d\r\n" % value),
    st.binary(max_size=20).map(lambda data: b"$%d\r\n%b\r\n" % (len(data), data)),
    st.just(b"$-1\r\n"),
)


@given(st.lists(REPLIES, min_size=1), st.data())
def test_replies_are_counted_and_words_kept_wherever_they_are_cut(
    replies: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(replies)
    talk = RespTalk(NOWHERE)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        talk.heard(whole[start:stop])
    got = talk.replies
    assert got.count == len(replies)
    assert got.said == {
        number: reply[:-2].decode() for number, reply in enumerate(replies) if reply[:1] in b"+-"
    }
    assert set(got.errors) == {number for number, reply in enumerate(replies) if reply.startswith(b"-")}


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n", b"$x\r\n", b"*1\r\n", b"\r\n", b"+" + b"x" * 100_000]
)
def test_what_is_not_redis_is_said_to_be_so(answer: bytes) -> None:
    with pytest.raises(TransportError, match="not Redis'"):
        RespTalk(NOWHERE).heard(answer)


def test_a_command_is_an_array_of_strings() -> None:
    assert command("AUTH", "größer", "") == b"*3\r\n$4\r\nAUTH\r\n$8\r\ngr\xc3\xb6\xc3\x9fer\r\n$0\r\n\r\n"


async def test_what_was_answered_before_the_cut_is_known() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"+OK\r\n-OOM no\r\n$5\r\n1-")
        await writer.drain()

    async with served(half) as where, asyncio.timeout(DEADLINE_S):
        talk = RespTalk(Address(*where))
        await talk.connect()
        got = await talk.ask(b"commands", 4)
    assert got.count == 2
    assert got.errors == {1: "OOM no"}
    assert str(got.broken) == f"{where[0]}:{where[1]}: the peer closed the connection"


async def test_a_connection_answers_one_request_after_another() -> None:
    async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"+OK\r\n:1\r\n", b"-ERR\r\n"):
            await reader.readexactly(1)
            writer.write(answer)
        await reader.read()

    async with served(polite) as where, asyncio.timeout(DEADLINE_S):
        talk = RespTalk(Address(*where))
        await talk.connect()
        assert await talk.ask(b"1", 2) == Replies(2, {0: "+OK"})
        assert await talk.ask(b"2", 1) == Replies(1, {0: "-ERR"})
        talk.end()
