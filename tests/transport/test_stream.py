"""A stream to a peer that never answers: sent means that its kernel has every byte."""

from __future__ import annotations

import asyncio
import gc
import ssl
from pathlib import Path

import pytest

from agent.encode.ndjson import ndjson
from agent.transport import TransportError, UntrustedError
from agent.transport.stream import Address, LineStream
from agent.transport.tls import client_context
from tests.receivers.certificates import PrivateCa
from tests.receivers.received import DEADLINE_S
from tests.receivers.sent import batch
from tests.receivers.served import served
from tests.receivers.tcp import TcpReceiver

LINE = ndjson(batch([b"hello"]))
MUCH = LINE * 40_000  # more than both kernels' buffers hold


@pytest.fixture(params=["tcp", "tls"])
def tls(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """The receiver's context and ours."""
    if request.param == "tcp":
        return None, None
    ca = PrivateCa(tmp_path)
    return ca.server(), client_context(str(ca.ca_file))


Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]


async def test_one_connection_carries_many_requests(tls: Contexts) -> None:
    async with TcpReceiver().listening(tls[0]) as receiver:
        stream = LineStream(Address("127.0.0.1", receiver.port), tls[1])
        for _ in range(20):
            await stream.send(LINE)
        await stream.send(LINE * 5000)
        await receiver.inbox.have(5020)
        stream.close()
        await receiver.inbox.until(lambda: receiver.endings == ["eof"])
    assert receiver.connections == 1


async def test_what_the_peer_has_not_read_is_not_sent(tls: Contexts) -> None:
    """A peer that stops reading keeps `send` waiting: bytes in our own buffers are not with it."""
    receiver = TcpReceiver()
    receiver.deaf = True
    async with receiver.listening(tls[0]):
        stream = LineStream(Address("127.0.0.1", receiver.port), tls[1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await stream.send(MUCH)
        stream.close()


async def test_what_only_our_own_kernel_has_is_not_sent() -> None:
    """It has taken everything, and the peer's nearly nothing: this is where a plain drain() would be content."""
    receiver = TcpReceiver()
    receiver.deaf = True
    async with receiver.listening():
        stream = LineStream(Address("127.0.0.1", receiver.port))
        await stream.connect()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await stream.send(b"x" * 20_000)
        stream.close()


async def test_a_peer_that_hangs_up_in_the_middle_is_told(tls: Contexts) -> None:
    receiver = TcpReceiver()
    receiver.deaf = True
    async with receiver.listening(tls[0]):
        stream = LineStream(Address("127.0.0.1", receiver.port), tls[1])
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(failure_of(stream, MUCH))
            await receiver.inbox.until(lambda: receiver.connections == 1)
            receiver.hang_up()
        assert str(sending.result()).startswith(f"127.0.0.1:{receiver.port}: ")


async def test_an_end_while_idle_is_noticed_before_the_next_request(tls: Contexts) -> None:
    """No request is lost to a connection that the peer has closed."""
    async with TcpReceiver().listening(tls[0]) as receiver:
        stream = LineStream(Address("127.0.0.1", receiver.port), tls[1])
        await stream.send(LINE)
        await receiver.inbox.have(1)
        receiver.hang_up()
        await receiver.inbox.until(lambda: bool(receiver.endings))
        await eventually_lost(stream)
        await stream.send(LINE)
        await receiver.inbox.have(2)
        stream.close()
    assert receiver.connections == 2


async def test_after_a_cancelled_request_the_next_begins_with_a_whole_line(tls: Contexts) -> None:
    """The receiver faults on the joint of two halves."""
    receiver = TcpReceiver()
    receiver.deaf = True
    async with receiver.listening(tls[0]):
        stream = LineStream(Address("127.0.0.1", receiver.port), tls[1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stream.send(MUCH)
        receiver.deaf = False
        await stream.send(LINE)
        await receiver.inbox.have(1)
        stream.close()


@pytest.mark.parametrize("turns", range(10))
async def test_cancelled_while_connecting_nothing_is_left_open(tls: Contexts, turns: int) -> None:
    """A socket that nobody closes would be a warning, which is an error here."""
    async with TcpReceiver().listening(tls[0]) as receiver:
        stream = LineStream(Address("127.0.0.1", receiver.port), tls[1])
        async with asyncio.TaskGroup() as group:
            connecting = group.create_task(stream.connect())
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
        await stream.send(LINE)
        await receiver.inbox.have(1)
        stream.close()
    gc.collect()


async def test_what_the_peer_says_is_read_and_forgotten(tls: Contexts) -> None:
    """Unread, it would fill the peer's buffers, and turn its end into a reset."""
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome " * 200_000)
        await writer.drain()
        got.append(await reader.readline())
        await reader.read()

    async with served(talk, tls=tls[0]) as where:
        stream = LineStream(Address(*where), tls[1])
        await stream.send(LINE)
        stream.close()
    assert got == [LINE]


async def test_a_unix_socket_is_a_stream_too(tmp_path: Path) -> None:
    got: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readline())
        await reader.read()

    async with served(listen, path=tmp_path / "s") as (path, _):
        stream = LineStream(Address(path=path))
        await stream.send(LINE)
        assert got == [LINE]  # of a Unix socket, acknowledged means read
        stream.close()


async def test_a_peer_that_speaks_no_tls_is_tried_again() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n" * 3)
        await reader.read()

    async with served(greet) as where:
        failure = await failure_of(LineStream(Address(*where), client_context()), LINE)
    assert not isinstance(failure, UntrustedError)
    assert "TLS failed: " in str(failure)


async def test_a_peer_that_knows_us_not_is_for_a_person_to_mend(tmp_path: Path) -> None:
    """In TLS 1.3 the refusal comes after our half of the handshake: a line sent at once would seem to be there."""
    ca = PrivateCa(tmp_path)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """By hand: asyncio's own servers hang up without a word."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake = ca.server(clients=True).wrap_bio(incoming, outgoing, server_side=True)
        refused = False
        while not refused:
            try:
                handshake.do_handshake()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
            except ssl.SSLError as error:
                refused = error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
        await asyncio.sleep(0.1)  # it is far away: its kernel would have acknowledged a line long since
        writer.write(outgoing.read())
        await reader.read()

    async with served(refuse) as where:
        failure = await failure_of(LineStream(Address(*where), client_context(str(ca.ca_file))), LINE)
    assert isinstance(failure, UntrustedError)
    assert "it does not accept our certificate" in str(failure)


async def test_a_peer_without_tickets_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.transport.stream.VERDICT_S", 0.01)
    ca = PrivateCa(tmp_path)
    server = ca.server()
    server.num_tickets = 0
    async with TcpReceiver().listening(server) as receiver:
        stream = LineStream(Address("127.0.0.1", receiver.port), client_context(str(ca.ca_file)))
        await stream.send(LINE)
        await receiver.inbox.have(1)
        stream.close()


def test_an_address_is_shown_as_one_types_it() -> None:
    assert [str(address) for address in (Address("h", 1), Address("::1", 2), Address(path="/s"))] == [
        "h:1",
        "[::1]:2",
        "/s",
    ]


async def failure_of(stream: LineStream, data: bytes) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await stream.send(data)
    return caught.value


async def eventually_lost(stream: LineStream) -> None:
    """Until the loop has told the stream, which has nobody to tell while it is idle."""
    async with asyncio.timeout(DEADLINE_S):
        while stream.connected:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)
