"""The `logs` reader: one container's `/logs`, from its cursor on.

It never blocks the application: what it does not read stays in the Engine's files. What rotates away unread is
lost, and is noticed: by a jump in the times while we are behind (`rotation`), or by a mark that the file no
longer has (`cursor`). So there are two ways of reading. *Catching up* reads without follow (`history`).
*Following* opens the last few records, which the Engine finds without reading the rest, and goes on from the
mark among them; when the mark is not there, it is time to catch up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agent.engine.containers import ContainerFacts
from agent.errors import EngineRefused
from agent.losses import Cause
from agent.source.reader import GONE, Reader
from agent.source.reading import Hung, Skipped
from agent.source.stream import OpenStream, Step

_IDLE_MOST_S = 600.0
_DOUBT_S = 2.0
#: A stream that lived this long was no failure to open one.
_LONG_S = 5.0
#: How many records back a follow begins to look for the mark, at the least and at the most.
_TAIL_RECORDS = 1000
_TAIL_MOST_RECORDS = 1_000_000


class LogsReader(Reader):
    """Follows the log; a hung follow (moby #45728) is noticed, and opened anew."""

    _tail = _TAIL_RECORDS

    async def _read_to_an_end(self) -> ContainerFacts | None:
        """Read until a stream ends; of a container that does not run, all there is. Its state then; None: gone."""
        began = self._around.now()
        ended: OpenStream | None = None
        begun = self._has_begun
        try:
            if self._reading.facts.running:
                if self.cursor.mark or self.cursor.heard:
                    await self._history.catch_up()
                ended = await self._follow()
        except Hung:
            await self._history.look_back(Cause.DAMAGED)
            self._tail = max(1, min(self._tail, self._history.readable))
        except EngineRefused as refused:
            if refused.status not in GONE:
                raise
        if self._around.now() - began >= _LONG_S:
            self._failures = 0
        try:
            self._reading.facts = await self._around.client.inspect(self.container.id)
            if not self._reading.facts.running and not (ended and await self._history.is_whole(ended)):
                await self._history.catch_up(ended=True)
        except EngineRefused as refused:
            if refused.status not in GONE:
                raise
            if ended is not None:
                await self._history.take(ended, ended.finish(self._around.clock()))
            elif begun:
                self._removed_unread()
            return None
        return self._reading.facts

    async def _follow(self) -> OpenStream:
        """Follow from the mark, or from the beginning where there is none, until the stream ends."""
        tail = self._tail if self.cursor.mark and self._tail < _TAIL_MOST_RECORDS else None
        stream = self._reading.stream(jumps=self._reading.jumps, partial=tail is not None)
        async with self._reading.open(
            since=None if tail else self._reading.since(), tail=tail, follow=True
        ) as body:
            if tail is None and self._reading.since() is None:
                self._reading.begin_file()
            in_time = True
            while chunk := await self._next(body, stream, tail):
                step = stream.feed(chunk, self._around.clock())
                if tail and stream.search.doubtful:
                    await self._doubt(stream, tail)
                try:
                    await self._history.take(stream, step)
                except Skipped:
                    await self._catch_up_beside(stream, step)
                if stream.search.found:
                    self._failures, self._tail = 0, _TAIL_RECORDS
                elif tail and (stream.search.unsure or stream.pieces >= tail):
                    raise self._not_shown(stream, tail)
                if in_time and step.records and self._reading.is_outrun(step.records.stamps[-1]):
                    in_time = await self._catch_up_in_time()
        return stream

    async def _catch_up_in_time(self) -> bool:
        """Read what may rotate away before the stream comes to it. Raises Skipped when that was read.

        False: the container was removed, and the stream is all there is.
        """
        try:
            await self._history.catch_up()
        except EngineRefused as refused:
            if refused.status not in GONE:
                raise
            return False
        raise Skipped

    async def _catch_up_beside(self, stream: OpenStream, step: Step) -> None:
        """Read what a jump may have left out, while the stream stays open: of a removed container it is the last.

        Raises Skipped when that was read: then the stream has nothing new to say.
        """
        try:
            await self._history.catch_up()
        except EngineRefused as refused:
            if refused.status not in GONE or step.behind is None or await self._is_there():
                raise
        else:
            raise Skipped
        why = "it jumps there, and the container was removed before its log could be looked at"
        self._reading.lost_before(step.behind, step.behind.stamps[0], at_file=False, why=why)
        await self._reading.take(stream, Step(step.behind, error=step.error))

    async def _is_there(self) -> bool:
        """Whether the container stays: that its log was refused once does not tell."""
        try:
            facts = await self._around.client.inspect(self.container.id)
        except EngineRefused as refused:
            return refused.status not in GONE
        return facts.status not in {"removing", "dead"}

    async def _doubt(self, stream: OpenStream, tail: int) -> None:
        """Look whether the mark is among the last `tail` records. Raises what `_not_shown` says if it is not.

        It is never given up here: only a read by time opens all that is behind it.
        """
        scan = await self._history.scan(tail=tail)
        if not scan.search.found:
            raise self._not_shown(scan, tail)
        stream.settle(self._around.clock(), present=True)

    def _not_shown(self, stream: OpenStream, tail: int | None) -> Exception:
        """Why the last records do not show the mark: it is further back, or the log cannot be read there."""
        if stream.search.unsure:
            self._tail = _TAIL_MOST_RECORDS
        elif tail and stream.pieces < tail:
            return Hung()
        elif tail:
            self._tail = 4 * tail
        return Skipped()

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
                raise Hung if self.cursor.mark else Skipped

    async def _has_more(self, stream: OpenStream) -> bool:
        """Whether the file has a record that this stream did not give."""
        seen = stream.newest_ns or self.cursor.newest_ns
        return any(
            newest != seen and (self.cursor.mark is not None or newest > seen)
            for newest in await self._history.last_times(1)
        )
