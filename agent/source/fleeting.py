"""The log of a container that takes it along when it ends (`--rm`), for who may attach to it too late.

An Engine that is starting a container answers an attach when it runs. Were the log asked for only then, it may be
gone: so it is asked for at the same time, and read while it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from agent.batch import NS
from agent.engine.containers import ContainerFacts
from agent.source.held import Held, unwrapped_group
from agent.source.history import History
from agent.source.reading import Reading
from agent.source.seam import LAG_NS
from agent.source.stream import OpenStream

#: An Engine that has not answered by then is busy starting the container.
_STARTING_S = 0.01
#: The logging drivers whose log may be asked for before the container starts, without any other effect.
_FILE_DRIVERS = frozenset({"json-file", "local"})


@dataclass(frozen=True, slots=True)
class Followed:
    """How far a follow was read.

    to_ns  what was written up to then
    end    the stream, if it came to its end: unless the connection was cut, the container does not run any more
    """

    to_ns: int
    end: OpenStream | None = None


class FleetingLog:
    """Asked for, and held open until `close`.

    late  nothing had come of it, nor its end, when we were attached: if it is empty, everything comes live
    """

    def __init__(self, reading: Reading, history: History, held: Held) -> None:
        self.late = False
        self._reading = reading
        self._history = history
        self._held = held

    def attached(self) -> None:
        """From now on everything comes live."""
        self.late = not self._held.begun

    async def follow(self, until_ns: int, enough: Callable[[], bool]) -> Followed:
        """Read it from its beginning while it is written, up to that time and until it is quiet for a moment.

        until_ns  a second later at the latest, as long as something comes
        enough    asked after each step; no further once it is true
        """
        clock = self._reading.around.clock
        stream = self._reading.stream()
        self._reading.begin_file()
        while (left_ns := until_ns - clock()) > -NS:
            try:
                async with asyncio.timeout(max(left_ns, LAG_NS) / NS):
                    chunk = await anext(self._held, b"")
            except TimeoutError:
                return Followed(clock() - LAG_NS)
            if not chunk:
                return Followed(stream.newest_ns or 0, stream)
            await self._history.take(stream, stream.feed(chunk, clock()))
            if enough():
                break
        return Followed(stream.newest_ns or 0)

    def close(self) -> None:
        """It is of no use any more."""
        self._held.close()


@contextlib.asynccontextmanager
async def fleeting_log(
    reading: Reading, history: History, before: ContainerFacts, *, has_log: bool
) -> AsyncIterator[FleetingLog | None]:
    """The log of a container that was so a moment ago, and of which nothing was read; None: it stays, or is none."""
    read = reading.cursor.mark or reading.cursor.heard
    soon = before.status == "created" and before.driver in _FILE_DRIVERS
    if read or not (has_log and before.auto_remove and (before.running or soon)):
        yield None
        return
    opening = reading.open(since=reading.since(), tail=None, follow=True)
    name = f"log of {reading.container.name}"
    async with unwrapped_group() as tasks:
        held = Held(opening, tasks, after_s=_STARTING_S if soon else 0, name=name)
        try:
            yield FleetingLog(reading, history, held)
        finally:
            held.close()
