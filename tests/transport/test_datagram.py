"""Datagrams: sent means that our kernel has taken them, and as much of that as a peer can be expected to read."""

from __future__ import annotations

import asyncio
import mmap
import socket
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent.transport import TransportError, datagram
from agent.transport.datagram import Datagrams
from agent.transport.pour import OversizeError
from agent.transport.stream import Address
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.received import Received

FEW = [b"one", b"", b"three"]


class Collector(DatagramReceiver):
    """Takes whatever comes."""

    def read(self, datagram: bytes) -> Iterable[Received]:
        return [Received(datagram.hex(), 0)]

    def read_file(self, data: bytes, files: list[int]) -> bytes:
        with mmap.mmap(files[0], 0, access=mmap.ACCESS_READ) as mapped:
            return data + bytes(mapped)

    async def have(self, count: int) -> list[bytes]:
        await self.inbox.until(lambda: len(self.datagrams) >= count)
        return self.datagrams


def to(receiver: DatagramReceiver) -> Datagrams:
    if receiver.path:
        return Datagrams(Address(path=str(receiver.path)))
    return Datagrams(Address("127.0.0.1", receiver.port), per_second=10_000)


@pytest.fixture(params=["udp", "unix"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Collector:
    return Collector(tmp_path / "s" if request.param == "unix" else None)


async def test_datagrams_arrive_in_order_and_leave_the_queue(receiver: Collector) -> None:
    many = [b"%d" % number for number in range(500)]
    async with receiver.listening():
        sending, waiting = to(receiver), deque([*FEW, *many])
        await sending.send(waiting)
        assert await receiver.have(503) == [*FEW, *many]
        sending.close()
    assert not waiting


async def test_a_peer_that_is_not_there_is_told_and_found_when_it_is(receiver: Collector) -> None:
    async with receiver.listening():
        sending = to(receiver)
    with pytest.raises(TransportError, match=r": (Connection refused|No such file or directory)$"):
        await sending.send(deque(FEW[:1]))
    async with receiver.listening():
        await sending.send(deque(FEW))
        assert await receiver.have(3) == FEW
        sending.close()


async def test_a_peer_that_went_away_is_told(receiver: Collector) -> None:
    async with receiver.listening():
        sending = to(receiver)
        await sending.send(deque(FEW))
    with pytest.raises(TransportError, match=r"refused|reset"):
        await sending.send(deque(FEW))


async def test_connecting_sends_nothing(receiver: Collector) -> None:
    async with receiver.listening():
        sending = to(receiver)
        await sending.connect()
        await sending.send(deque([b"first"]))
        assert await receiver.have(1) == [b"first"]
        sending.close()


async def test_a_reader_that_stops_makes_us_wait_and_loses_nothing(tmp_path: Path) -> None:
    """The kernel holds no more for a Unix socket than net.unix.max_dgram_qlen says."""
    receiver = Collector(tmp_path / "s")
    waiting = deque(b"%d" % number for number in range(2_000))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(receiver.path))
        sending = to(receiver)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await sending.send(waiting)
        taken = 2_000 - len(waiting)
        assert 0 < taken < 2_000
        assert [reader.recv(100) for _ in range(taken)] == [b"%d" % number for number in range(taken)]
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(sending.send(waiting))
            for number in range(taken, 2_000):
                assert await asyncio.to_thread(reader.recv, 100) == b"%d" % number
            await rest
        sending.close()


async def test_one_too_large_is_told_after_those_before_it_were_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "SEND_BUFFER_BYTES", 50_000)
    async with Collector(tmp_path / "s").listening() as receiver:
        sending, waiting = to(receiver), deque([b"before", b"x" * 200_000, b"behind"])
        with pytest.raises(OversizeError, match=r": Message too long$"):
            await sending.send(waiting)
        assert waiting.popleft() == b"x" * 200_000
        await sending.send(waiting)
        assert await receiver.have(2) == [b"before", b"behind"]
        sending.close()


async def test_a_file_goes_instead_of_a_datagram(tmp_path: Path) -> None:
    large = bytes(range(256)) * 40_000
    async with Collector(tmp_path / "s").listening() as receiver:
        sending = to(receiver)
        await sending.send_file(large)
        await sending.send(deque([b"next"]))
        assert await receiver.have(2) == [large, b"next"]
        sending.close()


async def test_a_file_waits_for_room_as_datagrams_do(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        sending = Datagrams(Address(path=str(path)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await sending.send(deque([b"x"] * 2_000))
        async with asyncio.TaskGroup() as group:
            group.create_task(sending.send_file(b"large"))
            await asyncio.sleep(0)
            assert reader.recv(10) == b"x"
        sending.close()


async def test_after_a_refusal_the_next_address_of_the_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = socket.getaddrinfo

    def two(_host: str, port: int, *rest: Any, **more: Any) -> list[Any]:  # noqa: ANN401 - whatever it takes
        found = [lookup(host, port, *rest, **more) for host in ("127.0.0.2", "127.0.0.1")]
        return [each[0] for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    async with Collector().listening() as receiver:
        sending = Datagrams(Address("log.example", receiver.port))
        with pytest.raises(TransportError, match=r"^log\.example:\d+: Connection refused$"):
            await sending.send(deque([b"x"]))
        await sending.send(deque([b"x"]))
        assert await receiver.have(1) == [b"x"]
        sending.close()


async def test_a_name_that_leads_elsewhere_by_now_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else would tell: the old address may take datagrams for ever, or be nobody's."""
    monkeypatch.setattr(datagram, "RESOLVE_EVERY_S", 0.0)
    lookup, hosts = socket.getaddrinfo, ["127.0.0.2", "127.0.0.1"]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *rest, **more: lookup(hosts.pop(0), *rest, **more)
    )
    async with Collector().listening() as receiver:
        sending = Datagrams(Address("log.example", receiver.port))
        await sending.connect()
        await sending.send(deque([b"x"]))
        assert await receiver.have(1) == [b"x"]
        sending.close()


@pytest.mark.parametrize("turns", range(6))
async def test_cancelled_anywhere_it_goes_on(receiver: Collector, turns: int) -> None:
    async with receiver.listening():
        sending, waiting = to(receiver), deque(FEW * 100)
        async with asyncio.TaskGroup() as group:
            under_way = group.create_task(sending.send(waiting))
            for _ in range(turns):
                await asyncio.sleep(0)
            under_way.cancel()
        await sending.send(waiting)
        assert await receiver.have(300) == FEW * 100
        sending.close()


async def test_two_requests_at_once_take_turns(receiver: Collector) -> None:
    async with receiver.listening():
        sending = to(receiver)
        async with asyncio.TaskGroup() as group:
            for text in (b"a", b"b"):
                group.create_task(sending.send(deque([text] * 200)))
        assert await receiver.have(400) == [b"a"] * 200 + [b"b"] * 200
        sending.close()
