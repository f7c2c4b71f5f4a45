"""The `attach` reader: one container's output as it is written, with the log for what came before.

Nothing rotates away from it, at any rate and with any logging driver. The price is that a container whose output is
not read has to wait; so it is always read (`flow`), or the connection is cut (`watchdog`). After each beginning the
log is read from the cursor on, and joined to what comes live (`seam`). A container that is attached to before it
starts needs no joining. Where that may be too late, the log of one that takes it along when it ends (`--rm`) is asked
for at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from agent.batch import NS, Container
from agent.engine.containers import ContainerFacts
from agent.errors import DockferryError, EngineRefused
from agent.losses import Cause
from agent.source.cursor import Cursor
from agent.source.fleeting import FleetingLog, fleeting_log
from agent.source.flow import Flow, Room
from agent.source.heard import MARK_EVERY_S, MarkTimer
from agent.source.lines import Records
from agent.source.live import LiveLines
from agent.source.reader import GONE, NO_READING, NOT_FOUND, AttachForbidden, Reader
from agent.source.reading import Skipped, Surroundings
from agent.source.seam import LAG_NS, Seam
from agent.source.splice import Splice
from agent.source.watchdog import Watchdog

log = logging.getLogger(__name__)

#: A socket proxy's answers to a POST it does not allow.
_FORBIDDEN = frozenset({403, 405})
#: How far the clock of an Engine may be off: on this host, and elsewhere.
_HERE_NS, _ELSEWHERE_NS = NS // 200, 5 * NS // 2
#: Further behind than this, the log is read before we attach, but not for ever: the container may be faster.
_NEAR_NS, _APPROACHES = NS, 3
#: The mark is looked for among so many of the log's newest.
_ANCHOR_TAIL = 64
#: So many records behind the mark, it is too far back to be looked for again and again.
_FLOOD_RECORDS = 2000
_IDLE_MOST_S = 600.0
#: A connection that lived so long was no failure.
_LONG_S = 5.0
#: What a container printed that has ended comes within so long.
_LAST_S = 0.2
_REMOVED = "it was removed before its log could be read"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attaching:
    """What the attached readers share besides."""

    watchdog: Watchdog
    room: Room


@dataclass(slots=True)
class _Live:
    """One connection, and what it brings.

    attached_ns  from then on everything
    fleeting     the log, if it may go away at once
    """

    flow: Flow
    attached_ns: int
    fleeting: FleetingLog | None = None
    splice: Splice = field(default_factory=Splice)


class AttachReader(Reader):
    """Attaches, joins, takes; when the connection ends, looks why, and goes on from the cursor.

    _left   what came live and is to be had from the log, unless that goes away with its container
    _whole  whether nothing was written but what was taken, is left, or comes live
    """

    mode = "attach"
    waits_for_start = False

    def __init__(
        self,
        facts: ContainerFacts,
        container: Container,
        cursor: Cursor,
        around: Surroundings,
        attaching: Attaching,
    ) -> None:
        super().__init__(facts, container, cursor, around)
        self._attaching = attaching
        self._has_log = facts.driver != "none"
        self._left = Records()
        self._left_at = 0
        self._whole = not self._has_begun
        self._stale = False
        self._mark = MarkTimer(around.now())

    async def _read_to_an_end(self) -> ContainerFacts | None:
        """As `Reader` says. Raises AttachForbidden when it has to be read in another way."""
        self._left = Records()
        try:
            facts = self._reading.facts
            if self._stale:
                facts = self._reading.facts = await self._around.client.inspect(self.container.id)
            self._stale = True
            if facts.running or facts.status == "created" or not self._has_log:
                await self._approach(facts)
                await self._attach(facts)
                if not self._has_log:
                    await self._take_what_is_left()
                facts = self._reading.facts = await self._around.client.inspect(self.container.id)
                self._whole = self._whole and not facts.running  # the connection was cut, or it runs again
            if not facts.running:
                await self._catch_up(facts)
        except EngineRefused as refused:
            if refused.status not in GONE:
                raise
            if await self._is_there():
                return self._reading.facts
            await self._take_what_is_left()
            if not self._whole:
                self._reading.lost(Cause.REMOVED, self._since_ns, self._around.clock(), _REMOVED)
            return None
        return facts

    async def _is_there(self) -> bool:
        """Whether the container that refused us is still there: it may be paused, or about to start again."""
        try:
            self._reading.facts = await self._around.client.inspect(self.container.id)
        except EngineRefused as refused:
            if refused.status != NOT_FOUND:
                raise
            return False
        return self._reading.facts.status not in {"removing", "dead"}

    async def _approach(self, facts: ContainerFacts) -> None:
        """Take from the log what is far behind: while attached there is room for only so much more."""
        if self._has_log and facts.status != "created":
            async with self._log():
                await self._history.recount()
                for _ in range(_APPROACHES):
                    begun_ns = facts.started_ns if not self.cursor.since else 0
                    reached_ns = max(self.newest_ns, self.cursor.since, begun_ns)
                    if self._around.clock() - reached_ns > _NEAR_NS and not await self._history.advance():
                        break

    async def _catch_up(self, facts: ContainerFacts) -> None:
        """Take from the log what is behind the cursor."""
        if self._has_log and facts.status != "created":
            async with self._log():
                await self._history.catch_up(ended=not facts.running)
                self._whole = not facts.running

    @contextlib.asynccontextmanager
    async def _log(self) -> AsyncIterator[None]:
        """Note if there is none that could be read."""
        try:
            yield
        except EngineRefused as refused:
            if refused.status != NO_READING:
                raise
            self._has_log = False

    async def _from_log(self, reading: Awaitable[T]) -> T | None:
        """What a read of the log gives while we are attached; None: there is none, or it is being removed."""
        try:
            return await reading
        except EngineRefused as refused:
            if refused.status not in {NO_READING, *GONE}:
                raise
            self._has_log = self._has_log and refused.status != NO_READING
            return None

    async def _take_what_is_left(self) -> None:
        """Take what came live and cannot be had from the log any more, unless it was."""
        left, self._left = self._left, Records()
        if left and self._left_at == self._reading.taken:
            await self._reading.take_live(left)

    async def _attach(self, before: ContainerFacts) -> None:
        """Take what comes live until it ends."""
        around, asked_ns = self._around, self._around.clock()
        if around.client.endpoint.ssh is not None:
            raise AttachForbidden("over ssh the connection could not be cut while the agent hangs")
        around.metrics.stream_opens.labels(self.container.name).inc()
        try:
            async with (
                fleeting_log(self._reading, self._history, before, has_log=self._has_log) as fleeting,
                around.client.attach(self.container.id) as attached,
            ):
                lines = LiveLines(
                    tty=before.tty, max_line_bytes=around.max_line_bytes, after_ns=self.newest_ns
                )
                flow = Flow(attached, lines, self._attaching.room, around.clock)
                live = _Live(flow, around.clock(), fleeting)
                if fleeting is not None:
                    fleeting.attached()
                began = around.now()
                failure: Exception | None = None
                async with asyncio.TaskGroup() as tasks:
                    filling = tasks.create_task(live.flow.fill(), name=f"output of {self.container.name}")
                    try:
                        with self._attaching.watchdog.guard(live.flow):
                            if await self._begin(live, asked_ns):
                                await self._take_live(live)
                                await self._ended(live)
                    except (DockferryError, Skipped) as error:  # a group would wrap it
                        failure = error
                    finally:
                        filling.cancel()
                        live.flow.abandon()
        except EngineRefused as refused:
            if refused.status in _FORBIDDEN:
                raise AttachForbidden(refused.message) from refused
            raise
        finally:
            self._reading.seam = None
        if failure is not None:
            self._whole = False
            raise failure
        if around.now() - began >= _LONG_S:
            self._failures = 0

    async def _begin(self, live: _Live, asked_ns: int) -> bool:
        """Now that we are attached: has it begun already? Then its log has to be joined.

        Also if it has ended by now: of a short run the first lines may have gone before we were attached.
        False: the log gave all there is.
        """
        gone = not self._reading.facts.running and not await self._is_there()
        log.debug("container %s: attached", self.container.name)
        facts = self._reading.facts
        runs = facts.running or facts.restarting or facts.paused
        begun = gone or runs or (self._has_log and facts.status != "created")
        self._whole = self._whole and not (begun and facts.started_ns < live.attached_ns)
        if begun and self._has_log:
            slack_ns = _HERE_NS if self._around.client.endpoint.socket_path else _ELSEWHERE_NS
            self._reading.seam = Seam(asked_ns, live.attached_ns, slack_ns=slack_ns, tty=facts.tty)
            live.splice = Splice(self._reading.seam)
            if live.fleeting is not None:
                return not await self._join_fleeting(live, self._reading.seam, live.fleeting)
        elif not self._has_log:
            self._missed(live, Cause.NO_LOG, self.newest_ns)
        if not begun and live.fleeting is not None:
            live.fleeting.close()
        if not begun and facts.status != "created":
            await self._reading.end()
        return True

    def _missed(self, live: _Live, cause: Cause, newest_ns: int) -> None:
        """The log does not help: say what is lost, if anything was written that does not come live either.

        newest_ns  the time of the newest record that was taken before we attached; 0: none was
        """
        first_ns = newest_ns or self._since_ns
        unwanted = cause is Cause.NO_LOG and not newest_ns and self.cursor.since
        if not self._whole and not unwanted:
            why = _REMOVED if cause is Cause.REMOVED else ""
            self._reading.lost(cause, first_ns, live.attached_ns, why)
        self._whole = True

    async def _take_live(self, live: _Live) -> None:
        """Take what comes, and join the log to it, until it ends."""
        flow, idle_s, doubted = live.flow, self._around.idle_s, False
        while True:
            ended = flow.ended
            came = flow.take()
            if ready := live.splice.sort(came, self._around.clock()):
                await self._take(live, ready)
                idle_s = self._around.idle_s
            elif ended:
                return
            elif not came and not doubted:  # it may have ended before we attached, which shows nowhere else
                doubted = True
                if await self._has_ended() and not await flow.came(_LAST_S):
                    return
            if sum(self.cursor.beyond) >= _FLOOD_RECORDS:
                live.splice.settle()
            now_ns = self._around.clock()
            due_ns = live.splice.due_ns(now_ns)
            if due_ns is not None and due_ns <= now_ns:
                await self._join(live)
            elif due_ns is not None:
                await flow.came((due_ns - now_ns) / NS)
            elif self._has_log and self._mark.is_due(sum(self.cursor.beyond), self._around.now()):
                await self._anchor(live)
            elif not await flow.came(min(idle_s, MARK_EVERY_S) if any(self.cursor.beyond) else idle_s):
                if (await self._has_ended() or await self._is_hung()) and not await flow.came(_LAST_S):
                    return
                idle_s = min(2 * idle_s, _IDLE_MOST_S)

    async def _join_fleeting(self, live: _Live, seam: Seam, log: FleetingLog) -> bool:
        """Read the log while it is written, to where all comes live; whether the container ended before."""
        flow, splice, clock = live.flow, live.splice, self._around.clock
        newest_ns = self.newest_ns
        splice.begin(clock())
        followed = await self._from_log(
            log.follow(seam.read_for_sure_ns, lambda: splice.amid(flow.take(), clock()))
        )
        log.close()
        if followed is None:
            await self._not_joined(live, newest_ns)
            return False
        if followed.end is not None and await self._has_ended():
            await self._history.take(followed.end, followed.end.finish(clock()))
            if self.newest_ns > newest_ns:
                self._whole = True
                return True
            if log.late:  # it was silent, or asked for its log before it started
                self._whole = True
                live.splice, self._reading.seam = Splice(), None
                return False
        await self._take(live, splice.end(flow.take(), clock(), read_to_ns=followed.to_ns))
        self._whole = self._whole or seam.covered
        return False

    async def _join(self, live: _Live) -> None:
        """Read the log from the cursor on, until it reaches into what came live."""
        flow, splice, clock, seam = live.flow, live.splice, self._around.clock, self._reading.seam
        readable: object = True
        newest_ns = self.newest_ns
        if splice.begin(clock()):
            readable = await self._from_log(self._history.advance(lambda: splice.amid(flow.take(), clock())))
        if readable is None:
            await self._not_joined(live, newest_ns)
        else:
            await self._take(live, splice.end(flow.take(), clock(), hurry=flow.crowded))
            if seam is not None and (seam.short or (seam.over and not seam.covered)):
                self._missed(live, Cause.ROTATED, newest_ns)
            self._whole = self._whole or seam is None or seam.covered

    async def _not_joined(self, live: _Live, newest_ns: int) -> None:
        """The log is gone, or there is none that can be read: take what came live. `newest_ns`: see `_missed`."""
        self._missed(live, Cause.REMOVED if self._has_log else Cause.NO_LOG, newest_ns)
        await self._take(live, live.splice.give_up(live.flow.take(), self._around.clock()))

    async def _take(self, live: _Live, records: Records) -> None:
        if records:
            await self._reading.take_live(records)
        if not live.splice.waits:
            live.flow.release()

    async def _anchor(self, live: _Live) -> None:
        """Move the cursor's mark on, so that little has to be counted again after a new beginning."""
        self._mark.restart(self._around.now())
        self._reading.recent.all = True
        await asyncio.sleep(LAG_NS / NS)  # the log is to have some of what comes now
        began_ns = self._around.clock()
        tail = await self._from_log(self._history.newest(_ANCHOR_TAIL))
        await asyncio.sleep(LAG_NS / NS)  # and all is to have come that it has
        await self._take(live, live.splice.sort(live.flow.take(), self._around.clock()))
        if tail and (cursor := self._reading.recent.anchor(tail, self.cursor, began_ns)):
            await self._reading.move(cursor)
        self._reading.recent.all = False

    async def _has_ended(self) -> bool:
        """Whether the container does not run, so that what we are attached to is its next run, if any."""
        try:
            facts = await self._around.client.inspect(self.container.id)
        except EngineRefused as refused:
            if refused.status != NOT_FOUND:
                raise
            return True
        return self._has_log and not facts.running and facts.status != "created"

    async def _is_hung(self) -> bool:
        """Whether the connection brings nothing, though the container's log goes on."""
        newest_ns = max(await self._from_log(self._history.last_times(1)) or [0]) if self._has_log else 0
        missed = newest_ns > max(self.newest_ns, self.cursor.since) + NS
        hung = missed and self._around.clock() > newest_ns + NS
        if hung:
            self._whole = False
            self._report("hung", "its output stopped, though its log goes on; attached to anew")
        return hung

    async def _ended(self, live: _Live) -> None:
        """The connection ended: keep what cannot be had from the log if that goes too."""
        flow = live.flow
        torn = flow.stalled or flow.error is not None
        if flow.stalled:
            self._note("stalled", "its output was not taken in time; detached, its log is read instead")
        elif flow.error is not None:
            self._note("stream", str(flow.error))
        self._whole = self._whole and not torn
        self._left = live.splice.give_up(Records(), self._around.clock())
        if not torn:
            self._left.extend(flow.finish())
        self._left_at = self._reading.taken

    async def _rest(self, facts: ContainerFacts) -> None:
        """Without a log we attach to what has ended, too: the first lines of its next run come only live."""
        await (super()._rest(facts) if self._has_log else self._pause())
