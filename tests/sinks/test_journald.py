"""journald: what the real one writes down of us, and what its socket does to a sender."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from agent.batch import Batch, Stream
from agent.errors import SettingsError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Outcome, Partial, Retry
from agent.transport import datagram
from tests.receivers.journald import NativeSocket, private_journald, read_entry
from tests.receivers.received import Received
from tests.receivers.sent import batch, container, expected, forget

LARGE = b"large " * 40_000


async def sent(url: str, batches: list[Batch]) -> Outcome:
    sink = parse_sink("it", url)
    await sink.open(None, forget)
    try:
        return await sink.deliver(batches)
    finally:
        await sink.close()


def as_sent(entry: dict[str, object]) -> Received:
    """The record in what journalctl prints; bytes that are no text are a list there."""
    fields = {
        name.encode(): bytes(value) if isinstance(value, list) else str(value).encode()
        for name, value in entry.items()
        if not name.startswith("_")
    }
    return read_entry(fields, full_id=True)


async def test_journald_itself_writes_down_every_field_and_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too large for a datagram goes in a file."""
    monkeypatch.setattr(datagram, "SEND_BUFFER_BYTES", 50_000)
    texts = [b"hello", b"", b"two\nlines", bytes(range(256)), LARGE, b"\xff not UTF-8"]
    batches = [
        batch(texts, truncated=[0]),
        batch([b"a complaint"], of=container("db"), stream=Stream.STDERR),
    ]
    with private_journald(tmp_path) as journald:
        assert await sent(f"journald:?socket={journald.socket}&full_id=true", batches) == Delivered()
        entries = await asyncio.to_thread(journald.entries, 7)
    found = {record.id: record for record in map(as_sent, entries)}
    for record in expected(batches):
        team = record.labels["com.example.team"]
        got = found[record.id]
        assert got.labels == {"COM_EXAMPLE_TEAM": team}
        assert got == Received(
            **{name: getattr(record, name) for name in Received.__slots__ if name != "labels"},
            labels=got.labels,
        )
    raw = {entry["CONTAINER_RECORD_ID"]: entry["MESSAGE"] for entry in entries}
    assert raw[expected(batches)[3].id] == list(range(256))


async def test_a_journald_that_stops_makes_us_wait_and_gets_each_entry_once(tmp_path: Path) -> None:
    texts = [b"%d" % number for number in range(3_000)]
    with private_journald(tmp_path) as journald:
        sink = parse_sink("it", f"journald:?socket={journald.socket}&timeout=300ms")
        await sink.open(None, forget)
        os.kill(journald.pid, signal.SIGSTOP)
        try:
            outcome = await sink.deliver([batch(texts)])
        finally:
            os.kill(journald.pid, signal.SIGCONT)
        assert isinstance(outcome, Partial)
        assert "did not take everything within 0.27 s" in outcome.why
        rest = list(outcome.retry)
        assert rest == list(range(rest[0], 3_000))
        assert await sink.deliver([batch(texts).rows(rest[0], 3_000)]) == Delivered()
        await sink.close()
        entries = await asyncio.to_thread(journald.entries, 3_000)
    assert [str(entry["MESSAGE"]).encode() for entry in entries] == texts


async def test_what_a_full_socket_did_not_take_is_sent_again_and_no_more(tmp_path: Path) -> None:
    """The same by the protocol's rules alone, where no journald can be had."""
    receiver = NativeSocket(tmp_path / "socket")
    texts = [b"%d" % number for number in range(2_000)]
    receiver.deaf = True
    async with receiver.listening():
        outcome = await sent(f"journald:?socket={receiver.path}&timeout=100ms", [batch(texts)])
    assert isinstance(outcome, Partial)
    assert not outcome.refused
    assert list(outcome.retry) == list(range(min(outcome.retry), 2_000))
    assert min(outcome.retry) > 0


async def test_an_entry_too_large_for_a_datagram_goes_in_a_sealed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "SEND_BUFFER_BYTES", 50_000)
    async with NativeSocket(tmp_path / "socket").listening() as receiver:
        assert await sent(f"journald:?socket={receiver.path}", [batch([b"a", LARGE, b"b"])]) == Delivered()
        records = await receiver.inbox.have(3)
    assert [record.message.encode() for record in records] == [b"a", LARGE, b"b"]
    assert receiver.files == 1


async def test_a_socket_that_is_not_there_is_named_and_tried_again() -> None:
    outcome = await sent("journald:?socket=/no/such/socket", [batch()])
    assert outcome == Retry("cannot connect to /no/such/socket: No such file or directory")


async def test_the_socket_is_where_systemd_has_it() -> None:
    assert parse_sink("it", "journald:").options.socket == "/run/systemd/journal/socket"


@pytest.mark.parametrize("url", ["journald://host", "journald:/run/socket"])
def test_what_cannot_work_is_said_at_once(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems == (
        "sink it: journald: takes no host and no path; its socket is ?socket=/path",
    )
