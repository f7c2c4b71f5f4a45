"""A reader: one container read for as long as it exists, whatever befalls it and the Engine. How is a subclass's.

The end of a stream means nothing by itself (moby ends it at every stop, restart, decode error and daemon stop,
and proxies cut it): look at the container's state, and go on from the cursor.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import random

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.errors import DockferryError, EngineRefused, EngineUnreachable, StreamError
from agent.losses import Cause
from agent.source.cursor import Cursor
from agent.source.history import History
from agent.source.reading import Reading, Skipped, Surroundings

log = logging.getLogger(__name__)

_PAUSE_S = 0.1
_PAUSE_MOST_S = 10.0
NOT_FOUND, CONFLICT, NO_READING = 404, 409, 501
#: The container was removed, or that is under way.
GONE = frozenset({NOT_FOUND, CONFLICT})


class Unreadable(DockferryError):
    """The container's logging driver cannot be read."""


class AttachForbidden(DockferryError):
    """The way to the Engine does not let us attach."""


class Reader(abc.ABC):
    """Reads one container.

    mode             the word for it in DOCKFERRY_SOURCE
    waits_for_start  whether there is nothing to be done for a container that was created and never started
    """

    mode = "logs"
    waits_for_start = True

    def __init__(
        self, facts: ContainerFacts, container: Container, cursor: Cursor, around: Surroundings
    ) -> None:
        self._reading = Reading(facts, container, cursor, around)
        self._history = History(self._reading)
        self._around = around
        self._changed = asyncio.Event()
        self._failures = 0
        self._said: tuple[str, str] | None = None

    @property
    def container(self) -> Container:
        """Its constants; a rename exchanges them."""
        return self._reading.container

    @container.setter
    def container(self, container: Container) -> None:
        self._reading.container = container

    @property
    def facts(self) -> ContainerFacts:
        """What is known of it by now."""
        return self._reading.facts

    @property
    def cursor(self) -> Cursor:
        """How far the records handed on reach."""
        return self._reading.cursor

    @property
    def newest_ns(self) -> int:
        """Time of the newest record handed on, ns; 0: none yet."""
        heard, mark = self.cursor.heard, self.cursor.mark
        return max(heard.newest_ns if heard else 0, mark.stamp if mark else 0)

    @property
    def _since_ns(self) -> int:
        """From when on records may be missing if no more can be read."""
        facts = self._reading.facts
        return self.newest_ns or self.cursor.since or facts.started_ns or facts.created_ns

    def update(self, facts: ContainerFacts | None = None) -> None:
        """The container started or went away (what is known of it now), or the Engine is back: look again."""
        if facts is not None:
            self._reading.facts = facts
        self._changed.set()

    async def run(self) -> None:
        """Read until the container is gone. What fails is tried again, more and more seldom. Raises Unreadable."""
        if self.waits_for_start and self._reading.facts.status == "created":
            await self._changed.wait()
        while True:
            self._changed.clear()
            taken = self._reading.taken
            try:
                facts = await self._read_to_an_end()
                if facts is None:
                    return
                await self._rest(facts)
            except Skipped:
                if self._reading.taken == taken:
                    await self._pause()
            except EngineRefused as refused:
                if refused.status == NO_READING:
                    raise Unreadable(refused.message) from refused
                await self._failed("refused", refused.message)
            except EngineUnreachable as error:
                await self._failed("unreachable", str(error))
            except StreamError as error:
                await self._failed("stream", str(error))

    @abc.abstractmethod
    async def _read_to_an_end(self) -> ContainerFacts | None:
        """Read until a stream ends; of a container that does not run, all there is. Its state then; None: gone.

        Raises Skipped when it is to be called again at once, EngineError, StreamError.
        """

    async def _rest(self, facts: ContainerFacts) -> None:
        """A stream came to its end: wait until there may be more."""
        if facts.running:
            await self._pause()
        else:
            await self._reading.end()
            await self._changed.wait()
            self._failures = 0

    @property
    def _has_begun(self) -> bool:
        """Whether the container may have written something that was not read."""
        facts = self._reading.facts
        return facts.running or (facts.started_ns > 0 and not self.cursor.ended)

    def _removed_unread(self) -> None:
        """Say that the container is gone, with what was not read of it."""
        why = "it was removed before its log could be read to the end"
        since = self.cursor.newest_ns or self._reading.facts.started_ns
        self._reading.lost(Cause.REMOVED, since, self._around.clock(), why)

    async def _failed(self, kind: str, why: str) -> None:
        self._note(kind, why)
        await self._pause()

    def _note(self, kind: str, why: str) -> None:
        self._around.metrics.stream_errors.labels(self.container.name, kind).inc()
        self._report(kind, why)

    def _report(self, kind: str, why: str) -> None:
        """A line in the log for each change of what is wrong, not for each time."""
        if (kind, why) != self._said:
            log.log(
                logging.DEBUG if kind == "unreachable" else logging.WARNING,
                "container %s: %s",
                self.container.name,
                why,
            )
            self._said = kind, why

    async def _pause(self) -> None:
        """Wait a little longer at each failure in a row; not at all once something changed."""
        longest = min(_PAUSE_S * 2**self._failures, _PAUSE_MOST_S)
        self._failures = min(self._failures + 1, 16)
        try:
            async with asyncio.timeout(random.uniform(longest / 2, longest)):
                await self._changed.wait()
        except TimeoutError:
            pass
