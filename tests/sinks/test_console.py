"""The console: standard output may be a pipe, a file or a terminal, and nobody need be reading."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from agent.encode.ndjson import ndjson
from agent.encode.text import text
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Retry
from agent.sinks.console import ConsoleSink
from tests.receivers.sent import batch, forget


async def opened(fd: int, options: str = "") -> ConsoleSink:
    made = cast("ConsoleSink", parse_sink("it", f"console:?{options}"))
    sink = ConsoleSink(made.target, made.options, fd=fd)
    await sink.open(None, forget)
    return sink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ours, theirs = os.pipe()
    yield ours, theirs
    for fd in (ours, theirs):
        with contextlib.suppress(OSError):
            os.close(fd)


async def read(fd: int, size: int) -> bytes:
    """Exactly `size` bytes, off the loop."""

    def exactly() -> bytes:
        data = b""
        while len(data) < size and (part := os.read(fd, size - len(data))):
            data += part
        return data

    return await asyncio.to_thread(exactly)


async def test_a_file_gets_text_without_colour(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        sink = await opened(file.fileno())
        assert await sink.deliver([batch(), batch([b"more"])]) == Delivered()
        await sink.close()
    assert (tmp_path / "out").read_bytes() == text(batch(), colour=False) + text(
        batch([b"more"]), colour=False
    )


async def test_a_terminal_gets_colour() -> None:
    ours, theirs = os.openpty()
    try:
        sink = await opened(theirs)
        assert await sink.deliver([batch([b"hello"])]) == Delivered()
        assert os.read(ours, 1000).replace(b"\r\n", b"\n") == text(batch([b"hello"]), colour=True)
        await sink.close()
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_reader_that_is_slow_does_not_hold_up_the_loop(pipe: tuple[int, int]) -> None:
    """A pipe holds 64 KiB: the write waits, this test goes on."""
    sent = batch([b"x" * 1000] * 500)
    sink = await opened(pipe[1], "format=json")
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(sink.deliver([sent]))
        assert await read(pipe[0], len(ndjson(sent))) == ndjson(sent)
    assert delivery.result() == Delivered()
    await sink.close()


async def test_cancelled_while_it_waits_nothing_is_lost_torn_or_repeated(pipe: tuple[int, int]) -> None:
    """The runner's time-out cancels, and then gives the same records again."""
    sent, later = batch([b"x" * 1000] * 500), batch([b"later"])
    sink = await opened(pipe[1], "format=json")
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await sink.deliver([sent])
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(sink.deliver([sent]))
        assert await read(pipe[0], len(ndjson(sent))) == ndjson(sent)
    assert delivery.result() == Delivered()
    assert await sink.deliver([later]) == Delivered()
    assert await read(pipe[0], len(ndjson(later))) == ndjson(later)
    await sink.close()


async def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    """Whoever else has the descriptor open may have made it so."""
    fcntl.fcntl(pipe[1], fcntl.F_SETFL, fcntl.fcntl(pipe[1], fcntl.F_GETFL) | os.O_NONBLOCK)
    await test_a_reader_that_is_slow_does_not_hold_up_the_loop(pipe)


async def test_nobody_reading_holds_the_sink(pipe: tuple[int, int]) -> None:
    sink = await opened(pipe[1])
    assert await sink.probe() == Delivered()
    os.close(pipe[0])
    nobody = Misconfigured("nobody reads standard output any more")
    assert await sink.deliver([batch()]) == nobody
    assert await sink.probe() == nobody
    await sink.close()


async def test_a_full_disk_is_tried_again() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        sink = await opened(fd)
        assert await sink.deliver([batch()]) == Retry(
            "cannot write to standard output: No space left on device"
        )
        await sink.close()
    finally:
        os.close(fd)


def test_a_person_does_not_wait_a_second() -> None:
    assert parse_sink("it", "console:").options.batch_age == 0.1
