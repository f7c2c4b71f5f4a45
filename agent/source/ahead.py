"""Reads opened ahead: what an answer without follow has opened cannot rotate away from it.

The Engine opens all files there are when it is asked, under one lock, and keeps them open while its answer waits to
be read (moby daemon/logger/loggerutils/logfile.go; measured on 20.10, 26.1 and 28.5). So while we are behind a
container that writes fast, the next answers are asked for before the files of the one before can have rotated away,
and wait for their turn, blocked on a full socket. Each costs the Engine a goroutine, its files' space on disk until
it is read, and one more decoding of what two of them have in common.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agent.batch import NS
from agent.errors import EngineError
from agent.source.cursor import Cursor, Place
from agent.source.held import Held, unwrapped_group
from agent.source.meter import Sample
from agent.source.reading import Reading

#: So much of what may rotate away is left between two answers.
_SHARE = 0.6
#: Look again after so much of the time that it would take at the same pace.
_CAUTION = 0.6
_MOST = 8
#: How much of its disk the Engine may have to keep for them.
_PINNED_BYTES = 512 << 20
#: Two answers are so far apart, at the least.
_APART_NS = NS // 20
#: Where nothing was taken for so long (the spool may be full), nothing more is to wait.
_STUCK_NS = 5 * NS


class Window:
    """When to ask for the next answer. Sans-I/O.

    rotated_bytes  how many there are behind the file that is written to
    """

    def __init__(self, rotated_bytes: int) -> None:
        self._step_bytes = _SHARE * rotated_bytes
        self.most = min(_MOST, int(_PINNED_BYTES / max(self._step_bytes, 1))) if rotated_bytes else 0

    def records(self, each: float) -> int:
        """How many may be written between two answers. `each`: bytes of one."""
        return max(int(self._step_bytes / each), 1) if each else 0

    def wait_ns(self, newest_ns: int, back_ns: int) -> int:
        """How long so many will not be written yet, even if it goes faster; 0: they are.

        newest_ns  the time of the newest record in the answer before
        back_ns    of the one that stands so many records before the end of the log now
        """
        left_ns = newest_ns - back_ns
        return max(int(_CAUTION * left_ns), _APART_NS) if left_ns >= 0 else 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer that waits. `since_ns`: from when it goes on; `asked_ns`: up to when."""

    since_ns: int
    asked_ns: int
    held: Held


class Ahead:
    """The answers to one catching up; made by `looking_ahead`.

    asked_ns  when the one that is read was asked for
    """

    def __init__(self, reading: Reading) -> None:
        self.asked_ns = 0
        self._reading = reading
        self._window = Window(reading.rotated_bytes)
        self._waiting: deque[_Waiting] = deque()
        self._newest_ns = 0
        self._seen_ns = 0
        self._back_ns = 0
        self._taken = reading.taken
        self._taken_ns = 0

    @property
    def waiting(self) -> int:
        """How many answers wait."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """What is behind the cursor: the answer that has waited longest, or a new one."""
        while self._waiting:
            waiting = self._waiting.popleft()
            try:
                if await self._is_of_use(waiting):
                    self.asked_ns = waiting.asked_ns
                    yield waiting.held
                    return
            finally:
                waiting.held.close()
        self.asked_ns = self._reading.around.clock()
        self._newest_ns = self._reading.cursor.newest_ns
        async with self._reading.open(since=self._reading.since(), tail=None, follow=False) as body:
            yield body

    async def _is_of_use(self, waiting: _Waiting) -> bool:
        """Unless it failed, or begins behind the mark."""
        if waiting.since_ns > self._reading.cursor.newest_ns:
            return False
        try:
            await waiting.held.wait()
        except EngineError:
            return False
        return True

    def close(self) -> None:
        """Close all that wait."""
        for waiting in self._waiting:
            waiting.held.close()

    async def watch(self, tasks: asyncio.TaskGroup) -> None:
        """Ask for the next answer when it is time, again and again."""
        wait_ns = _APART_NS
        while self._window.most:
            await asyncio.sleep(wait_ns / NS)
            wait_ns = _APART_NS
            if self.asked_ns and not self._is_stuck():
                with contextlib.suppress(EngineError):  # whoever reads will meet it too
                    wait_ns = await self._look(tasks)

    def _is_stuck(self) -> bool:
        now_ns = self._reading.around.clock()
        if self._taken != self._reading.taken:
            self._taken, self._taken_ns = self._reading.taken, now_ns
        return now_ns - max(self._taken_ns, self.asked_ns) > _STUCK_NS

    async def _look(self, tasks: asyncio.TaskGroup) -> int:
        """Hold one more answer, if so much was written since the one before; when to look again."""
        meter = self._reading.meter
        records = self._window.records(meter.each) if meter else 0
        if not records or meter is None:
            return _APART_NS
        newest_ns, before_ns = await self._time_of(1), self._seen_ns
        if newest_ns != before_ns:
            self._seen_ns, self._back_ns = newest_ns, await self._time_of(records)
            if newest_ns > self._back_ns > 0:
                meter.saw(Sample(self._back_ns, newest_ns, records))
        wait_ns = self._window.wait_ns(self._newest_ns, self._back_ns)
        if not wait_ns and len(self._waiting) < self._window.most:
            self._ask(newest_ns, tasks)
        return wait_ns or _APART_NS

    def _ask(self, newest_ns: int, tasks: asyncio.TaskGroup) -> None:
        """Hold one more answer, which goes on from where the one before must have got to."""
        opening = self._reading.open(since=self._reading.since(self._newest_ns), tail=None, follow=False)
        held = Held(opening, tasks, name=f"log of {self._reading.container.name}, ahead")
        self._waiting.append(_Waiting(self._newest_ns, self._reading.around.clock(), held))
        self._newest_ns = max(newest_ns, self._newest_ns)

    async def _time_of(self, tail: int) -> int:
        """The time of the record that stands so many from the end."""
        stream = self._reading.stream(place=Place(Cursor()))
        async with self._reading.open(since=None, tail=tail, follow=False) as body:
            async for chunk in body:
                stream.feed(chunk, 0)
                if stream.newest_ns is not None:
                    break
        return stream.search.first_ns or stream.newest_ns or 0


@contextlib.asynccontextmanager
async def looking_ahead(reading: Reading) -> AsyncIterator[Ahead]:
    """Answers ahead, as long as it lasts; then all that wait are closed."""
    ahead = Ahead(reading)
    async with unwrapped_group() as tasks:
        watching = tasks.create_task(ahead.watch(tasks), name=f"log of {reading.container.name}, in time")
        try:
            yield ahead
        finally:
            watching.cancel()
            ahead.close()
