"""A connection to a peer that answers: what is heard, what its loss is called, and who may use it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.transport import TransportError, UntrustedError
from agent.transport.dialogue import Dialogue, Lending
from agent.transport.stream import Address
from agent.transport.tls import client_context
from tests.receivers.certificates import PrivateCa
from tests.receivers.proxy import reset
from tests.receivers.received import DEADLINE_S
from tests.receivers.served import served

MUCH = b"x" * (16 << 20)  # more than both kernels' buffers hold


class Listener(Dialogue):
    """Keeps what it hears; `!` makes no sense to it."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.words = b""

    def heard(self, data: bytes) -> None:
        if b"!" in data:
            raise TransportError("it shouts")
        self.words += data


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def echoing(tls: ssl.SSLContext | None = None) -> AsyncIterator[Address]:
    """Where a server listens that gives all connections their words back."""
    open_: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        with contextlib.suppress(OSError):
            await echo(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        open_.discard(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield Address(*server.sockets[0].getsockname())
        async with asyncio.timeout(DEADLINE_S):
            while open_:  # noqa: ASYNC110 - asyncio's own wait knows only of some Pythons' connections
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_what_was_said_is_answered(encrypted: bool, tmp_path: Path) -> None:  # noqa: FBT001
    ca = PrivateCa(tmp_path)
    async with served(echo, tls=ca.server() if encrypted else None) as where:
        listener = Listener(Address(*where))
        await listener.connect(client_context(str(ca.ca_file)) if encrypted else None)
        listener.say(MUCH)
        await heard(listener, len(MUCH))
        assert listener.words == MUCH
        listener.end()


async def test_a_peer_that_talks_before_it_reads_is_heard() -> None:
    """It does not wait until all is said: else two that talk would wait for each other for ever."""

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(MUCH)
        await writer.drain()
        await reader.readexactly(len(MUCH))

    async with served(talkative) as where:
        listener = Listener(Address(*where))
        await listener.connect()
        listener.say(MUCH)
        await heard(listener, len(MUCH))
        listener.end()


async def test_the_last_words_of_a_peer_that_hangs_up_while_we_talk_are_heard() -> None:
    async def impolite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.write(b"too long")
        await writer.drain()
        reset(writer.transport)

    async with served(impolite) as where:
        listener = Listener(Address(*where))
        await listener.connect()
        listener.say(MUCH)
        with pytest.raises(TransportError, match=rf"^{where[0]}:{where[1]}: (Connection reset|Broken pipe)"):
            await heard(listener, 1 << 30)
    assert listener.words == b"too long"


async def test_a_peer_that_makes_no_sense_is_given_up() -> None:
    async with served(echo) as where:
        listener = Listener(Address(*where))
        await listener.connect()
        listener.say(b"eh!")
        with pytest.raises(TransportError, match="it shouts"):
            await heard(listener, 1)
        assert listener.lost is not None


async def test_the_first_reason_of_a_loss_is_the_one_that_is_told() -> None:
    async with served(echo) as where:
        listener = Listener(Address(*where))
        await listener.connect()
        listener.lose(TransportError("first"))
        listener.lose(TransportError("second"))
        with pytest.raises(TransportError, match=r": first$"):
            await heard(listener, 1)


async def test_a_certificate_that_is_not_trusted_is_told_apart(tmp_path: Path) -> None:
    async with echoing(PrivateCa(tmp_path).server()) as where:
        with pytest.raises(UntrustedError, match="its certificate is not trusted: "):
            await Listener(where).connect(client_context())
        listener = Listener(where)
        await listener.connect(client_context(verify=False))
        listener.end()
        await until_lost(listener)


async def test_nobody_there_is_said_with_the_address() -> None:
    async with served(echo) as (host, port):
        listener = Listener(Address(host, port))
        await listener.connect()
        listener.end()
    with pytest.raises(TransportError, match=rf"^cannot connect to {host}:{port}: Connection refused$"):
        await Listener(Address(host, port)).connect()


async def test_a_connection_is_used_again_and_given_up_after_a_fault() -> None:
    made: list[Listener] = []

    def new() -> Listener:
        made.append(Listener(where))
        return made[-1]

    async with echoing() as where:
        lending = Lending(new, Dialogue.connect)
        async with lending.one() as first, lending.one() as second:
            assert second is not first
        async with lending.one() as third:
            assert third is first
        with pytest.raises(LookupError):
            async with lending.one():
                raise LookupError
        assert [talk.lost is None for talk in made] == [False, True]
        async with lending.one() as fourth:
            assert fourth is second
            fourth.lose(TransportError("in the middle"))
        async with lending.one() as fifth:
            assert fifth is made[2]
        lending.end()
        await until_lost(fifth)


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_anywhere_it_leaves_nothing_open(turns: int) -> None:
    """In the look-up, connecting, or waiting for an answer; an open socket would be a ResourceWarning."""
    async with echoing() as where:
        lending = Lending(lambda: Listener(where), Dialogue.connect)

        async def ask() -> None:
            async with lending.one() as talk:
                await heard(talk, 1)

        async with asyncio.TaskGroup() as group:
            asking = group.create_task(ask())
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
        async with lending.one() as talk:
            talk.say(b"on")
            await heard(talk, 2)
        lending.end()
        await until_lost(talk)
    gc.collect()


async def heard(listener: Listener, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await listener.until(lambda: len(listener.words) >= count)


async def until_lost(listener: Listener) -> None:
    with pytest.raises(TransportError):
        await heard(listener, 1 << 30)
