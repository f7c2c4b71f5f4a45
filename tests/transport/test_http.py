"""HTTP on the wire: what goes wrong on the way is told without the path, which may hold a token."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from agent.transport import TransportError
from agent.transport.http import REPLY_BYTES, HttpClient, Reply, Request
from tests.receivers.served import served


@contextlib.asynccontextmanager
async def answering(raw: bytes, *, close: bool = True) -> AsyncIterator[HttpClient]:
    """A client of a server that answers every request with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        if not close:
            await reader.read()

    async with served(answer) as (host, port):
        client = HttpClient(
            URL.build(scheme="http", host=host, port=port),
            context=None,
            headers={},
            timeout_s=0.5,
            connections=1,
        )
        try:
            yield client
        finally:
            await client.close()


ASKED = Request("POST", "/path-with-token", body=b"line\n")


async def test_a_reply_is_read() -> None:
    async with answering(b"HTTP/1.1 429 Slow\r\nretry-after: 3\r\nContent-Length: 4\r\n\r\nslow") as client:
        reply = await client.send(ASKED)
    assert (reply.status, reply.headers["Retry-After"], reply.body) == (429, "3", b"slow")


async def test_an_endless_reply_is_cut() -> None:
    async with answering(b"HTTP/1.1 500 X\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 100_000) as client:
        reply = await client.send(ASKED)
    assert len(reply.body) == REPLY_BYTES


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "it closed the connection without an answer"),
        (b"220 mail.example ESMTP\r\n", "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "its answer breaks off"),
    ],
)
async def test_a_bad_reply_is_told(raw: bytes, said: str) -> None:
    async with answering(raw) as client:
        with pytest.raises(TransportError) as caught:
            await client.send(ASKED)
    assert said in str(caught.value)
    assert "token" not in str(caught.value)


async def test_no_reply_is_not_waited_for_longer_than_asked() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n", close=False) as client:
        with pytest.raises(TransportError, match=r"no answer within 0\.5 s"):
            await client.send(ASKED)


@pytest.mark.parametrize(
    ("body", "text"), [(b" a\n b ", "a b"), (b"<!DOCTYPE html><HTML>", ""), (b"\xff", "\ufffd")]
)
def test_a_reply_s_text_is_a_line(body: bytes, text: str) -> None:
    assert Reply(400, {}, body).text == text
