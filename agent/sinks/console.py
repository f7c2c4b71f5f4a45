"""console: the records on standard output, for a person or for whatever collects it.

Written by a thread of its own: standard output may be a pipe that nobody reads, and then write() waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import select
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent.batch import Batch
from agent.encode.ndjson import ndjson
from agent.encode.text import text
from agent.options import DURATION, choice, option
from agent.sinks.base import Delivered, Misconfigured, Outcome, Retry, Sink, SinkOptions, Target

STDOUT = 1
NO_READER = "nobody reads standard output any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions(SinkOptions):
    """The options of `console:`."""

    batch_age: float = option(DURATION, 0.1, help="longest wait for more records", group="batch")
    format: str = option(choice("text", "json"), "text", help="lines for a person, or the record as JSON")


class ConsoleSink(Sink[ConsoleOptions]):
    """Standard output: text for a person, or JSON lines."""

    def __init__(self, target: Target, options: ConsoleOptions, *, fd: int = STDOUT) -> None:
        super().__init__(target, options)
        self._fd = fd
        self._colour = False
        self._writer: _Writer | None = None

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        self._colour = os.isatty(self._fd)
        self._writer = _Writer(self._fd)

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        if self._writer is None:
            raise RuntimeError("deliver() before open()")
        failure = await self._writer.write(b"".join(map(self._encode, batches)))
        if failure is None:
            return Delivered()
        if failure.errno == errno.EPIPE:
            return Misconfigured(NO_READER)
        return Retry(f"cannot write to standard output: {failure.strerror}")

    def _encode(self, batch: Batch) -> bytes:
        return ndjson(batch) if self.options.format == "json" else text(batch, colour=self._colour)

    async def probe(self) -> Outcome:
        poll = select.poll()
        poll.register(self._fd, 0)
        if any(events & (select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0)):
            return Misconfigured(NO_READER)
        return Delivered()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None


#: Resolved by the thread with what went wrong.
_Written: TypeAlias = "asyncio.Future[OSError | None]"


class _Writer:
    """A thread that writes; a daemon, so that a reader who never reads cannot keep the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._work: queue.SimpleQueue[tuple[bytes, _Written] | None] = queue.SimpleQueue()
        self._under_way: tuple[bytes, _Written] | None = None
        threading.Thread(target=self._run, name="console", daemon=True).start()

    async def write(self, data: bytes) -> OSError | None:
        """Write all of `data`; what went wrong. Cancelled, it goes on; the same data again joins it."""
        if self._under_way is not None:
            earlier, done = self._under_way
            await asyncio.wait([done])
            self._under_way = None
            if earlier == data:
                return done.result()
        written: _Written = asyncio.get_running_loop().create_future()
        self._under_way = (data, written)
        self._work.put(self._under_way)
        await asyncio.wait([written])
        self._under_way = None
        return written.result()

    def stop(self) -> None:
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            data, written = work
            failure = _write_all(self._fd, data)
            try:
                written.get_loop().call_soon_threadsafe(written.set_result, failure)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return


def _write_all(fd: int, data: bytes) -> OSError | None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # whoever shares the descriptor made it non-blocking
            select.select((), (fd,), ())
        except OSError as error:
            return error
    return None
