"""JSON lines over TCP: what the URL has to say. How they travel is tests/transport/test_stream.py."""

from __future__ import annotations

import pytest

from agent.errors import SettingsError, SinkError
from agent.sinks import parse_sink
from agent.sinks.base import Retry
from agent.sinks.tcp import TcpSink
from tests.receivers.sent import batch, forget
from tests.receivers.tcp import TcpReceiver


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("tcp://host", "sink it: host and port are needed, as in tcp://host:5170"),
        ("tls://:6514", "sink it: host and port are needed, as in tls://host:5170"),
        ("tcp://host:1/path", "sink it: tcp takes no path after the port"),
    ],
)
def test_what_cannot_work_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems == (problem,)


async def test_a_file_that_is_not_there_is_named_on_opening() -> None:
    with pytest.raises(SinkError, match=r"ca=/no/such/ca\.pem: .*No such file"):
        await parse_sink("it", "tls://h:1?ca=/no/such/ca.pem").open(None, forget)


async def test_a_peer_that_does_not_read_is_tried_again_after_the_timeout() -> None:
    receiver = TcpReceiver()
    receiver.deaf = True
    async with receiver.listening():
        sink = parse_sink("it", f"tcp://127.0.0.1:{receiver.port}?timeout=200ms")
        await sink.open(None, forget)
        outcome = await sink.deliver([batch([b"x" * 1_000_000] * 16)])
        await sink.close()
    assert outcome == Retry(f"127.0.0.1:{receiver.port} did not take everything within 0.2 s")


def test_the_messages_alone_are_sent_as_they_were_written() -> None:
    """With `format=message`: no more and no less than the application wrote."""
    sink = parse_sink("it", "tcp://host:1?format=message")
    assert isinstance(sink, TcpSink)
    assert sink.encode([batch([b"one", b"\xff", b""]), batch([]), batch([b"two"])]) == (
        b"one\n\xff\n\ntwo\n",
        {},
    )
