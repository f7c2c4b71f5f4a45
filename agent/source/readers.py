"""A reader for every container there is: started, told, and let go as discovery tells of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from agent.batch import NS, Container
from agent.engine.changes import Appeared, Change, Died, EngineBack, EngineLost, Gone, Renamed, Started
from agent.engine.containers import ContainerFacts
from agent.errors import EngineError
from agent.losses import Cause
from agent.source.attach import Attaching, AttachReader
from agent.source.cursor import Cursor
from agent.source.logs import LogsReader
from agent.source.reader import AttachForbidden, Reader, Unreadable
from agent.source.reading import Surroundings
from agent.source.settled import SettledReader

log = logging.getLogger(__name__)

Supervise = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a container that was never read is begun to be read.

    epoch_ns  when the agent began to watch this Engine, for the first time with its present state; the Engine's
              time.
    there     the ids of the containers there were then. Any other came later and is read whole: by its id, not by
              the time it was made, for clocks are set back
    backlog   of one that ran already then: seconds before that time; None: all
    """

    epoch_ns: int
    there: frozenset[str]
    backlog: float | None

    def cursor(self, facts: ContainerFacts) -> Cursor:
        if facts.id not in self.there:
            return Cursor()
        if not facts.running:
            return Cursor(since=self.epoch_ns)
        return Cursor() if self.backlog is None else Cursor(since=self.epoch_ns - int(self.backlog * NS))


class Readers:
    """`apply` each change; set `beginning` before the first. The readers are tasks of `tasks`."""

    def __init__(
        self,
        around: Surroundings,
        tasks: asyncio.TaskGroup,
        *,
        describe: Callable[[ContainerFacts], Container],
        cursors: Mapping[str, bytes],
        forget: Callable[[Collection[str]], Awaitable[None]],
        supervise: Supervise,
        source: Callable[[ContainerFacts], str],
        attaching: Attaching,
    ) -> None:
        self.beginning = Beginning(0, frozenset(), None)
        self._around = around
        self._describe = describe
        self._cursors = cursors
        self._forget = forget
        self._supervise = supervise
        self._source = source
        self._attaching = attaching
        self._forbidden = False
        self._readers: dict[str, Reader] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._tasks = tasks

    @property
    def readers(self) -> Collection[Reader]:
        """Those there are, always as they are now."""
        return self._readers.values()

    async def apply(self, change: Change) -> None:
        """What discovery tells."""
        match change:
            case Appeared(facts):
                self._begin(facts)
            case Started(facts):
                if reader := self._readers.get(facts.id):
                    reader.update(facts)
            case Renamed(facts):
                if reader := self._readers.get(facts.id):
                    reader.container = self._describe(facts)
            case Gone(container_id):
                await self._leave(container_id)
            case EngineBack(version):
                self._forbidden = not version.attach_is_harmless
                await self._prune()
                for reader in self._readers.values():
                    reader.update()
            case Died() | EngineLost():
                pass  # the streams end by themselves

    def _begin(self, facts: ContainerFacts) -> None:
        cursor = self._saved(facts.id) or self.beginning.cursor(facts)
        source = self._source(facts)
        attach = source == "attach" or (source == "auto" and has_no_lasting_log(facts))
        if source == "attach" and not self._around.client.version.attach_is_harmless:
            log.warning(
                "container %s is read by its log: Podman makes an ended container ready to start again "
                "when it is attached to",
                facts.name,
            )
        self._readers[facts.id] = self._make(facts, self._describe(facts), cursor, attach=attach)
        self._around.metrics.containers.set(len(self._readers))
        self._reading[facts.id] = self._tasks.create_task(self._keep(facts), name=f"logs of {facts.name}")

    def _make(self, facts: ContainerFacts, container: Container, cursor: Cursor, *, attach: bool) -> Reader:
        if attach and not self._forbidden:
            return AttachReader(facts, container, cursor, self._around, self._attaching)
        if not self._around.client.version.follow_is_whole:
            return SettledReader(facts, container, cursor, self._around)
        return LogsReader(facts, container, cursor, self._around)

    def _saved(self, container_id: str) -> Cursor | None:
        saved = self._cursors.get(container_id)
        try:
            return None if saved is None else Cursor.from_bytes(saved)
        except ValueError as error:
            log.warning("container %s is read as a new one would be: %s", container_id[:12], error)
            return None

    async def _keep(self, facts: ContainerFacts) -> None:
        container_id = facts.id
        try:
            await self._supervise("reader", lambda: self._read(facts))
        finally:
            del self._readers[container_id], self._reading[container_id]
            self._around.metrics.containers.set(len(self._readers))
        await self._forget([container_id])

    async def _read(self, facts: ContainerFacts) -> None:
        """Read a container in the way that is open, whichever was asked for."""
        while True:
            reader = self._readers[facts.id]
            attach = False
            try:
                await reader.run()
            except AttachForbidden as refused:
                if not self._forbidden:
                    log.warning(
                        "attaching is refused (%s): containers are read by their logs instead", refused
                    )
                self._forbidden = True
            except Unreadable as refused:
                attach = self._source(facts) == "auto" and not self._forbidden
                if not attach:
                    log.warning("container %s cannot be read: %s", reader.container.name, refused)
                    return
            else:
                return
            self._readers[facts.id] = self._make(reader.facts, reader.container, reader.cursor, attach=attach)

    async def _leave(self, container_id: str) -> None:
        """A removed container is read to its end; one that was renamed out of the selection no further."""
        try:
            await self._around.client.inspect(container_id)
        except EngineError:
            if reader := self._readers.get(container_id):
                reader.update()
        else:
            if task := self._reading.get(container_id):
                task.cancel()

    async def _prune(self) -> None:
        """Forget the cursors of containers that were removed while we did not look."""
        there = {summary.id for summary in await self._around.client.containers(all=True)}
        gone = [key for key in self._cursors if key not in there and key not in self._readers]
        for key in gone:
            self._miss(key)
        if gone:
            await self._forget(gone)

    def _miss(self, container_id: str) -> None:
        """What a removed container wrote behind its cursor is lost, if it wrote anything."""
        cursor = self._saved(container_id)
        if cursor and not cursor.ended:
            self._around.losses.record(
                Cause.REMOVED,
                container=container_id[:12],
                now=self._around.now(),
                first_ns=cursor.newest_ns,
                last_ns=self._around.clock(),
            )


def has_no_lasting_log(facts: ContainerFacts) -> bool:
    """Whether a container keeps no log, or one that goes with it when it ends (`--rm`), maybe before it is read."""
    return facts.driver == "none" or (facts.auto_remove and not facts.partial)
