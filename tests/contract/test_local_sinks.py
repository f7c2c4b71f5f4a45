"""What the sinks of this machine promise: files, and standard output as a pipe that is read line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest

from agent.batch import Batch, Stream
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Sink
from agent.sinks.console import ConsoleSink
from tests.contract.cases import cancelled_after, noise, opened, several
from tests.receivers.received import Inbox, Received, read_line
from tests.receivers.sent import batch, container, expected

#: Gives the records that are there once there are so many.
Have: TypeAlias = Callable[[int], Awaitable[list[Received]]]
Place: TypeAlias = Callable[[Path], AbstractAsyncContextManager[tuple[Sink[Any], Have]]]


@contextlib.asynccontextmanager
async def in_a_file(directory: Path) -> AsyncIterator[tuple[Sink[Any], Have]]:
    path = directory / "all.ndjson"

    async def have(count: int) -> list[Received]:
        """A file is read when all is delivered: there is nothing to wait for."""
        lines = path.read_bytes().splitlines(keepends=True)
        assert all(line.endswith(b"\n") for line in lines)
        assert len(lines) >= count
        return [read_line(line[:-1]) for line in lines]

    async with opened(parse_sink("it", f"file://{path}")) as sink:
        yield sink, have


@contextlib.asynccontextmanager
async def on_the_console(_: Path) -> AsyncIterator[tuple[Sink[Any], Have]]:
    ours, theirs = os.pipe()
    inbox = Inbox()
    made = cast("ConsoleSink", parse_sink("it", "console:?format=json"))
    reader = asyncio.StreamReader(limit=1 << 24)

    async def read() -> None:
        while line := await reader.readline():
            inbox.add([read_line(line.removesuffix(b"\n"))])

    transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb")
    )
    with contextlib.closing(transport), os.fdopen(theirs, "wb"):
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(), name="reader of the pipe")
            async with opened(ConsoleSink(made.target, made.options, fd=theirs)) as sink:
                yield sink, inbox.have
            reading.cancel()


each = pytest.mark.parametrize("place", [in_a_file, on_the_console], ids=["file", "console"])


@each
async def test_delivers_every_record_once_in_order_with_its_metadata(place: Place, tmp_path: Path) -> None:
    sent = several()
    async with place(tmp_path) as (sink, have):
        assert await sink.deliver(sent) == Delivered()
        assert await have(len(expected(sent))) == expected(sent)


@each
async def test_counts_what_is_not_utf8(place: Place, tmp_path: Path) -> None:
    sent = several()
    async with place(tmp_path) as (sink, _):
        assert await sink.deliver(sent) == Delivered()
    assert [each.undecodable for each in sent] == [0, 1, 0]


@each
async def test_a_probe_says_well_and_leaves_no_record(place: Place, tmp_path: Path) -> None:
    async with place(tmp_path) as (sink, have):
        assert await sink.probe() == Delivered()
        assert await sink.deliver([batch([b"after"])]) == Delivered()
        assert [record.message for record in await have(1)] == ["after"]


@each
async def test_refuses_nothing(place: Place, tmp_path: Path) -> None:
    """Neither a line of a megabyte, nor every byte there is, nor times at both ends."""
    sent = [
        batch([b"x" * (1 << 20), bytes(range(256)), b"\x00\x1b[2J\r\n\x7f\xe2\x80\xa8"]),
        batch([b"the first"], start_ns=1),
        batch([b"the last"], start_ns=(1 << 63) - 1, stream=Stream.STDERR),
        batch([b"of a strange name"], of=container("..")),
    ]
    async with place(tmp_path) as (sink, have):
        assert await sink.deliver(sent) == Delivered()
        assert await have(6) == expected(sent)


@each
async def test_cancelled_in_the_middle_it_is_whole_and_goes_on(place: Place, tmp_path: Path) -> None:
    """What was under way is delivered again, as the runner does: each record is there, and whole."""
    sent: list[Batch] = [batch(noise(2000, 200))]
    async with place(tmp_path) as (sink, have):
        for turns in range(12):
            await cancelled_after(turns, sink.deliver(sent))
        assert await sink.deliver(sent) == Delivered()
        assert await sink.deliver([batch([b"and on"])]) == Delivered()
        records = await have(2001)
    assert {record.id for record in expected(sent)} <= {record.id for record in records}
    assert records[-1].message == "and on"
