"""The `logs` reader: one container's `/logs`, from its cursor on, for as long as the container exists.

It never blocks the application: what it does not read stays in the Engine's files. What rotates away unread is
lost, and is noticed: by a jump in the times while we are behind (`rotation`), or by a mark that the file no
longer has (`cursor`). So there are two ways of reading. *Catching up* reads without follow: every file there
still is, to an end. *Following* opens the last few records, which the Engine finds without reading the rest,
and goes on from the mark among them; when the mark is not there, it is time to catch up again.

The end of a stream means nothing by itself (moby ends it at every stop, restart, decode error and daemon stop,
and proxies cut it): look at the container's state, and go on from the cursor.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from agent.batch import NS, Batch, Container
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts
from agent.errors import EngineRefused, EngineUnreachable, StreamError
from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.source.cursor import DISORDER_NS, Cursor, Place
from agent.source.frames import STDERR, STDOUT
from agent.source.repeats import Repeats
from agent.source.rotation import Jumps, compressed, file_bytes
from agent.source.stream import OpenStream, Shape, Step

log = logging.getLogger(__name__)

HandOn = Callable[[Sequence[Batch], Mapping[str, bytes]], Awaitable[None]]
IDLE_S = 30.0
_IDLE_MOST_S = 600.0
_DOUBT_S = 2.0
_PAUSE_S = 0.1
_PAUSE_MOST_S = 10.0
#: A stream that lived this long was no failure to open one.
_LONG_S = 5.0
#: Fewer new records than this in a read without follow: caught up.
_FEW_RECORDS = 2000
#: How many records back a follow begins to look for the mark, at the least and at the most.
_TAIL_RECORDS = 1000
_TAIL_MOST_RECORDS = 1_000_000
_STEPS = (100, 1000, 10_000, 100_000, 1_000_000)
#: A gap shorter than a record takes to be written is none: the file of the mark ended with it.
_ONE_RECORD_BYTES = 256
_NOT_FOUND, _CONFLICT, _NO_READING = 404, 409, 501


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every reader shares.

    hand_on  takes batches and, by container id, the cursor behind them; may make the reader wait
    now      monotonic seconds · clock  the Engine's time, ns
    idle_s   after so long without a record a follow is checked against the file (moby #45728: it may hang)
    """

    client: EngineClient
    hand_on: HandOn
    metrics: Metrics
    losses: Losses
    max_line_bytes: int
    now: Callable[[], float]
    clock: Callable[[], int]
    idle_s: float = IDLE_S


class _Skipped(Exception):
    """The followed stream left something out, or does not show the mark: catch up."""


class _Hung(Exception):
    """The stream shows nothing, though the file has more."""


class LogsReader:
    """Reads one container. `container` may be exchanged at any time (a rename)."""

    def __init__(
        self, facts: ContainerFacts, container: Container, cursor: Cursor, around: Surroundings
    ) -> None:
        self.container = container
        self._facts = facts
        self._around = around
        self._place = Place(cursor)
        self._shape = Shape(facts.tty, facts.driver != "journald", around.max_line_bytes)
        self._changed = asyncio.Event()
        self._failures = 0
        self._tail = _TAIL_RECORDS
        self._taken = 0
        self._said: tuple[str, str] | None = None
        self._read_to_ns: int | None = None
        rotate = file_bytes(facts.driver, facts.log_options)
        self._jumps = Jumps(rotate) if rotate else None
        old = around.client.version.repeats_on_rotation
        self._repeats = Repeats(rotate) if rotate and old else None
        #: Engines before 23 skip all rotated files when the oldest, compressed, is older than `since`.
        self._blind = bool(rotate and old and compressed(facts.driver, facts.log_options))

    @property
    def cursor(self) -> Cursor:
        """How far the records handed on reach."""
        return self._place.cursor

    def update(self, facts: ContainerFacts | None = None) -> None:
        """The container started or went away (what is known of it now), or the Engine is back: look again."""
        if facts is not None:
            self._facts = facts
        self._changed.set()

    async def run(self) -> None:
        """Read until the container is gone or cannot be read. What fails is tried again, more and more seldom."""
        if self._facts.status == "created":
            await self._changed.wait()
        while True:
            self._changed.clear()
            taken = self._taken
            try:
                facts = await self._read_to_an_end()
                if facts is None:
                    return
                if facts.running:
                    await self._pause()
                else:
                    await self._changed.wait()
                    self._failures = 0
            except _Skipped:
                if self._taken == taken:
                    await self._pause()
            except EngineRefused as refused:
                if refused.status == _NO_READING:
                    log.warning("container %s cannot be read: %s", self.container.name, refused.message)
                    return
                await self._failed("refused", refused.message)
            except EngineUnreachable as error:
                await self._failed("unreachable", str(error))
            except StreamError as error:
                await self._failed("stream", str(error))

    async def _read_to_an_end(self) -> ContainerFacts | None:
        """Read until a stream ends; of a container that does not run, all there is. Its state then; None: gone."""
        began = self._around.now()
        ended: OpenStream | None = None
        try:
            if self._facts.running:
                if self.cursor.mark:
                    await self._catch_up()
                ended = await self._follow()
        except _Hung:
            await self._look_back(Cause.DAMAGED)
        except EngineRefused as refused:
            if refused.status not in {_NOT_FOUND, _CONFLICT}:
                raise
        if self._around.now() - began >= _LONG_S:
            self._failures = 0
        try:
            self._facts = await self._around.client.inspect(self.container.id)
            if not self._facts.running and not (ended and await self._is_whole(ended)):
                await self._catch_up(ended=True)
        except EngineRefused as refused:
            if refused.status not in {_NOT_FOUND, _CONFLICT}:
                raise
            if ended is not None:
                await self._take(ended, ended.finish(self._around.clock()))
            return None
        return self._facts

    async def _catch_up(self, *, ended: bool = False) -> None:
        """Read what is behind the cursor, until hardly anything is new.

        ended  the container does not run: until nothing is, and a line without newline counts
        """
        least = 1 if ended else _FEW_RECORDS
        if self._blind and self.cursor.mark:
            while await self._look_back(Cause.ROTATED, ended=ended) >= least:
                pass
        else:
            while await self._read(ended=ended) >= least:
                pass
            if ended and self.cursor.mark and await self._last_times(1) not in ([], [self._read_to_ns]):
                await self._look_back(Cause.DAMAGED, ended=True)

    async def _follow(self) -> OpenStream:
        """Follow from the mark, or from the beginning where there is none, until the stream ends."""
        tail = self._tail if self.cursor.mark and self._tail < _TAIL_MOST_RECORDS else None
        stream = self._stream(self._jumps, partial=tail is not None)
        async with self._open(since=None if tail else self._since(), tail=tail, follow=True) as body:
            while chunk := await self._next(body, stream, tail):
                step = stream.feed(chunk, self._around.clock())
                if tail and stream.search.doubtful:
                    await self._doubt(stream, tail)
                await self._take(stream, step)
                if stream.search.found:
                    self._failures, self._tail = 0, _TAIL_RECORDS
                elif tail and (stream.search.unsure or stream.pieces >= tail):
                    raise self._not_shown(stream, tail)
        return stream

    async def _doubt(self, stream: OpenStream, tail: int) -> None:
        """Look whether the mark is among the last `tail` records. Raises what `_not_shown` says if it is not.

        It is never given up here: only a read by time opens all that is behind it.
        """
        scan = await self._scan(tail=tail)
        if not scan.search.found:
            raise self._not_shown(scan, tail)
        stream.settle(self._around.clock(), present=True)

    def _not_shown(self, stream: OpenStream, tail: int | None) -> Exception:
        """Why the last records do not show the mark: it is further back, or the log cannot be read there."""
        if stream.search.unsure:
            self._tail = _TAIL_MOST_RECORDS
        elif tail and stream.pieces < tail:
            return _Hung()
        elif tail:
            self._tail = 4 * tail
        return _Skipped()

    async def _next(self, body: AsyncIterator[bytes], stream: OpenStream, tail: int | None) -> bytes:
        """The next bytes of a followed stream; none at its end. Looks after it while nothing comes."""
        wait = self._around.idle_s
        doubted = False
        while True:
            # By time, the Engine may read for long before it finds where to begin.
            certain = (stream.search.found or tail is None) and not doubted
            patience = wait if certain else min(wait, _DOUBT_S)
            try:
                async with asyncio.timeout(patience):
                    return await anext(body, b"")
            except TimeoutError:
                if not stream.search.found:
                    raise self._not_shown(stream, tail) from None
            if not await self._has_more(stream):
                wait, doubted = min(2 * wait, _IDLE_MOST_S), False
            elif not doubted:
                doubted = True
            else:
                self._report("hung", "its log stream stopped, though its log goes on; opened anew")
                raise _Hung if self.cursor.mark else _Skipped

    async def _has_more(self, stream: OpenStream) -> bool:
        """Whether the file has a record that this stream did not give."""
        seen = stream.newest_ns or self.cursor.newest_ns
        return any(
            newest != seen and (self.cursor.mark is not None or newest > seen)
            for newest in await self._last_times(1)
        )

    async def _read(
        self, *, ended: bool = False, tail: int | None = None, present: bool | None = None
    ) -> int:
        """Read without follow, to the end of the file; how many records were new.

        tail     only so many records, instead of those since the cursor
        present  whether the mark is known to come (or known not to)
        """
        before = self._taken
        stream = self._stream(None)
        if present is not None:
            stream.settle(self._around.clock(), present=present)
        since = self._since() if tail is None else None
        async with self._open(since=since, tail=tail, follow=False) as body:
            async for chunk in body:
                await self._take(stream, stream.feed(chunk, self._around.clock()))
        if stream.cut:
            raise StreamError("the answer ends in the middle of a record")
        if not stream.search.found:
            await self._not_found(stream)
        if ended:
            await self._take(stream, stream.finish(self._around.clock()))
        self._read_to_ns = stream.newest_ns
        return self._taken - before

    async def _not_found(self, stream: OpenStream) -> None:
        """The file was read from the cursor's time to its end, and the mark is not there."""
        if stream.search.seen and not await self._shows_from_the_end():
            await self._take(stream, self._gone(stream))
        elif stream.search.seen or await self._last_times(1) not in ([], [self.cursor.newest_ns]):
            await self._look_back(Cause.DAMAGED)

    async def _take(self, stream: OpenStream, step: Step) -> None:
        """Hand on what is new. Raises _Skipped at a jump, StreamError at the Engine's error."""
        if stream.search.doubtful:
            by_time = await self._scan(since=self._since())
            present = by_time.search.found or await self._shows_from_the_end()
            await self._take(
                stream, stream.settle(self._around.clock(), present=True) if present else self._gone(stream)
            )
        around, name, before = self._around, self.container.name, self.cursor
        # What the stream says of its end is not true of the row where it jumps: the mark waits.
        unended = frozenset((STDOUT, STDERR)) if step.skipped else stream.open_streams
        batches = self._place.take(
            step.records, self.container, open_streams=unended, owed=stream.search.owed
        )
        for batch in batches:
            around.metrics.read_records.labels(name, batch.stream.value).inc(len(batch))
            around.metrics.read_bytes.labels(name, batch.stream.value).inc(sum(map(len, batch.messages)))
            if batch.truncated:
                around.metrics.truncated_records.labels(name, batch.stream.value).inc(len(batch.truncated))
        if step.repeats:
            around.metrics.repeats_removed.labels(name).inc(step.repeats)
        if batches:
            self._taken += len(step.records)
            try:
                await around.hand_on(batches, {self.container.id: self.cursor.to_bytes()})
            except BaseException:
                self._place.cursor = before
                raise
            stream.kept(step)
        if step.skipped:
            raise _Skipped
        if step.error is not None:
            raise StreamError(step.error)

    def _gone(self, stream: OpenStream) -> Step:
        """The mark is no longer in the file: report the gap; what was held is new."""
        mark_ns = self.cursor.newest_ns
        first_ns = stream.search.first_ns or mark_ns
        step = stream.settle(self._around.clock(), present=False)
        if self._jumps is None or self._jumps.written_in(first_ns - mark_ns) > _ONE_RECORD_BYTES:
            self._lost(Cause.ROTATED, mark_ns, first_ns)
        return step

    async def _look_back(self, cause: Cause, *, ended: bool = False) -> int:
        """Look for the mark from the end of the log, in growing steps; how many records behind it were new.

        For where a read by time does not give all there is. `cause` is reported if the mark is not there.
        """
        deepest: tuple[int, int] | None = None
        for tail in _STEPS:
            scan = await self._scan(tail=tail)
            if scan.search.found:
                return await self._read(ended=ended, tail=2 * tail, present=True)
            if not scan.search.seen:
                break
            deepest = tail, scan.search.first_ns or self.cursor.newest_ns
            if scan.pieces < tail:
                break
        if deepest is None:
            return 0
        self._lost(cause, self.cursor.newest_ns, deepest[1])
        return await self._read(ended=ended, tail=2 * deepest[0], present=False)

    async def _shows_from_the_end(self) -> bool:
        """Whether the mark is found from the end of the log, where a read by time did not show it."""
        for tail in _STEPS:
            scan = await self._scan(tail=tail)
            if scan.search.found or scan.pieces < tail:
                return scan.search.found
        return False

    async def _scan(self, *, since: str | None = None, tail: int | None = None) -> OpenStream:
        """Look whether a part of the file has the mark, taking nothing."""
        stream = self._stream(None, place=Place(self.cursor))
        stream.settle(0, present=True)
        async with self._open(since=since, tail=tail, follow=False) as body:
            async for chunk in body:
                if stream.feed(chunk, 0).error is not None or stream.search.found:
                    break
        return stream

    async def _is_whole(self, stream: OpenStream) -> bool:
        """Whether a followed stream that has ended gave everything: then its last record is the file's."""
        mark = self.cursor.mark
        if mark is None or stream.unfinished or not stream.search.found:
            return False
        last = await self._last_times(2)
        return last[-1:] == [mark.stamp] and last.count(mark.stamp) == 1

    async def _last_times(self, count: int) -> list[int]:
        """The times of the file's last records."""
        stream = self._stream(None, place=Place(Cursor()))
        times: list[int] = []
        async with self._open(since=None, tail=count, follow=False) as body:
            async for chunk in body:
                times += stream.feed(chunk, 0).records.stamps
        return times or ([stream.newest_ns] if stream.newest_ns is not None else [])

    def _stream(
        self, jumps: Jumps | None, *, place: Place | None = None, partial: bool = False
    ) -> OpenStream:
        repeats = self._repeats if place is None else None
        return OpenStream(self._shape, place or self._place, repeats=repeats, jumps=jumps, partial=partial)

    def _open(
        self, *, since: str | None, tail: int | None, follow: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        self._around.metrics.stream_opens.labels(self.container.name).inc()
        return self._around.client.stream_logs(self.container.id, since=since, tail=tail, follow=follow)

    def _since(self) -> str | None:
        """From when to read, so that the answer has the mark: Engines before 24 leave out what is older."""
        at = self.cursor.newest_ns
        if self.cursor.mark and not self._around.client.version.exact_since:
            at -= DISORDER_NS
        return f"{at // NS}.{at % NS:09d}" if at > 0 else None

    def _lost(self, cause: Cause, first_ns: int, last_ns: int) -> None:
        self._around.losses.record(
            cause, container=self.container.name, now=self._around.now(), first_ns=first_ns, last_ns=last_ns
        )

    async def _failed(self, kind: str, why: str) -> None:
        self._around.metrics.stream_errors.labels(self.container.name, kind).inc()
        self._report(kind, why)
        await self._pause()

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
