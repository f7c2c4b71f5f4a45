"""Lines over UDP: what the URL has to say, and what is in a datagram."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Partial
from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.received import Received
from tests.receivers.sent import batch, forget

DEADLINE_S = 10.0


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("udp://host", "sink it: host and port are needed, as in udp://host:5170"),
        ("udp://host:1/path", "sink it: udp takes no path after the port"),
        ("udp://host:1?max_bytes=64KiB", "sink it: option 'max_bytes': a datagram holds 1 to 65507 bytes"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems == (problem,)


class Datagrams(DatagramReceiver):
    """Takes what comes; `enough` once four have."""

    def __init__(self) -> None:
        super().__init__()
        self.enough = asyncio.Event()

    def read(self, datagram: bytes) -> Iterable[Received]:
        if len(self.datagrams) == 4:
            self.enough.set()
        return ()


async def test_the_messages_alone_are_sent_as_they_were_written() -> None:
    """Bytes that are no text, and an empty line, too; what is too long for a datagram is refused."""
    receiver = Datagrams()
    async with receiver.listening():
        sink = parse_sink("it", f"udp://127.0.0.1:{receiver.port}?format=message&max_bytes=10")
        await sink.open(None, forget)
        assert await sink.deliver([batch([b"one", b"\xff", b""])]) == Delivered()
        assert await sink.deliver([batch([b"x" * 10, b"two"])]) == Partial(
            refused={0: "a message of 11 bytes, and max_bytes=10"}
        )
        async with asyncio.timeout(DEADLINE_S):
            await receiver.enough.wait()
        await sink.close()
    assert receiver.datagrams == [b"one\n", b"\xff\n", b"\n", b"two\n"]
