"""Reading without follow: every file there still is, opened under one lock, to an end.

So nothing rotates away while it is read; and at its end it is known whether the cursor's mark is still there.

Where a file is damaged the Engine stops reading, with an error or in silence (20.10, 27.4 and newer: moby #53631);
a follow goes on with what is written from then on. `tail` counts lines from the end, through the damage too, and
then reads on from there: what stands behind the damage comes only if the read begins behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from agent.errors import StreamError
from agent.losses import Cause
from agent.source.ahead import Ahead, looking_ahead
from agent.source.cursor import Cursor, Place
from agent.source.heard import Recount
from agent.source.lines import Records
from agent.source.reading import Reading
from agent.source.stream import OpenStream, Step

#: Fewer new records than this: caught up.
_FEW_RECORDS = 2000
_STEPS = (100, 1000, 10_000, 100_000, 1_000_000)
#: A gap shorter than a record takes to be written is none: the file of the mark ended with it.
_ONE_RECORD_BYTES = 256


class History:
    """What a container wrote up to now, as far as its log still has it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._read_to_ns: int | None = None
        self._ahead: Ahead | None = None
        #: The stream whose times tell whether it has the mark, and what they told.
        self._timed: OpenStream | None = None
        self._told: bool | None = None
        #: From how many records back the log could be read to its end when it was last looked at.
        self.readable = _STEPS[-1]

    async def catch_up(self, *, ended: bool = False) -> None:
        """Read what is behind the cursor, until hardly anything is new.

        ended  the container does not run: until nothing is, and a line without newline counts
        """
        await self.recount()
        least = 1 if ended else _FEW_RECORDS
        if self._reading.blind and self._reading.cursor.mark:
            while await self.look_back(Cause.ROTATED, ended=ended) >= least:
                pass
        else:
            newest_ns = await self._newest_ns()
            if ended:
                while await self.read(ended=True) >= least:
                    pass
            else:
                await self._read_looking_ahead()
            if self._reading.cursor.mark and not self._has_reached(newest_ns):
                await self.look_back(Cause.DAMAGED, ended=ended)

    async def _read_looking_ahead(self) -> None:
        """Read until hardly anything is new, of a container that may write faster than that."""
        async with looking_ahead(self._reading) as ahead:
            self._ahead = ahead
            try:
                while await self.read() >= _FEW_RECORDS or ahead.waiting:
                    pass
            finally:
                self._ahead = None

    async def advance(self, enough: Callable[[], bool] | None = None) -> int:
        """Read what is behind the cursor once, up to now; how many records were new.

        enough  asked now and then; no further once it is true. Without, also what stands behind damage
        """
        if self._reading.blind and self._reading.cursor.mark:
            return await self.look_back(Cause.ROTATED)
        if enough is not None:
            return await self.read(enough=enough)
        newest_ns = await self._newest_ns()
        new = await self.read()
        if self._reading.cursor.mark and not self._has_reached(newest_ns):
            new += await self.look_back(Cause.DAMAGED)
        return new

    async def read(
        self,
        *,
        ended: bool = False,
        tail: int | None = None,
        present: bool | None = None,
        enough: Callable[[], bool] | None = None,
        careful: bool = False,
    ) -> int:
        """Read without follow, to the end of the file; how many records were new.

        enough   asked after each step; no further once it is true
        tail     only so many records, instead of those since the cursor
        present  whether the mark is known to come (or known not to)
        careful  that the mark is there is not to be told from the times
        """
        before = self._reading.taken
        stream = self._reading.stream()
        if present is not None:
            stream.settle(self._reading.around.clock(), present=present)
        self._trust(None if careful or tail is not None else stream)
        if tail is None and self._reading.since() is None:
            self._reading.begin_file()
        async with self._open(tail) as body:
            async for chunk in body:
                await self.take(stream, stream.feed(chunk, self._reading.around.clock()))
                if enough is not None and enough():
                    return self._reading.taken - before
        if stream.cut:
            raise StreamError("the answer ends in the middle of a record")
        if ended:
            await self.take(stream, stream.finish(self._reading.around.clock()))
        if self._told and not stream.search.found:
            return self._reading.taken - before + await self.read(ended=ended, careful=True)
        if not stream.search.found:
            await self._not_found(stream)
        self._read_to_ns = stream.newest_ns
        if stream.unfinished and self._reading.cursor.ended:  # it may be the mark, of a run before
            self._read_to_ns = max(self._read_to_ns or 0, self._reading.cursor.newest_ns)
        return self._reading.taken - before

    def _open(self, tail: int | None) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        if tail is not None:
            return self._reading.open(since=None, tail=tail, follow=False)
        if self._ahead is not None:
            return self._ahead.open()
        return self._reading.open(since=self._reading.since(), tail=None, follow=False)

    async def recount(self) -> None:
        """Find out where in the log those records stand that were taken live, if the last ones were."""
        heard = self._reading.cursor.heard
        if heard is None:
            return
        recount = Recount(self._reading.cursor)
        stream = self._reading.stream(place=Place(Cursor()))
        since = None if self._reading.blind else self._reading.since()
        async with self._reading.open(since=since, tail=None, follow=False) as body:
            async for chunk in body:
                recount.feed(stream.feed(chunk, 0).records)
                if recount.settled:
                    break
        self._reading.place.cursor = recount.cursor
        if recount.lost and recount.first_ns is not None:
            self._reading.lost(Cause.ROTATED, heard.newest_ns, recount.first_ns)

    async def _not_found(self, stream: OpenStream) -> None:
        """The file was read from the cursor's time to its end, and the mark is not there."""
        if stream.unfinished and (await self.scan(since=self._reading.since())).search.found:
            return
        if stream.search.seen and not await self._shows_from_the_end():
            await self.take(stream, self.gone(stream))
        elif stream.search.seen or await self.last_times(1) not in ([], [self._reading.cursor.newest_ns]):
            await self.look_back(Cause.DAMAGED)

    async def take(self, stream: OpenStream, step: Step) -> None:
        """`Reading.take`; and when the mark should have come by now, find out whether it is still there."""
        if stream.search.doubtful:
            present = self._told = self._tell(stream)
            if present is None:
                by_time = await self.scan(since=self._reading.since())
                present = by_time.search.found or await self._shows_from_the_end()
            now_ns = self._reading.around.clock()
            await self.take(stream, stream.settle(now_ns, present=True) if present else self.gone(stream))
        await self._reading.take(stream, step)

    def _trust(self, stream: OpenStream | None) -> None:
        """From now on this stream's times may tell whether it has the mark."""
        self._timed, self._told = stream, None

    def _tell(self, stream: OpenStream) -> bool | None:
        """Whether the times tell that the mark is in the answer that is read, or that it is not; None: neither.

        Within one stream they go back only when a clock does. If it did, the mark is told to be there, and it is
        found out that it is not. It is told not to be there only in one catching up, within which it was the newest
        record a moment before.
        """
        mark, began_ns, reading = self._reading.cursor.mark, stream.search.began_ns, self._reading
        if stream is not self._timed or mark is None or began_ns is None:
            return None
        if began_ns < mark.stamp:
            return True
        asked_ns = self._ahead.asked_ns if self._ahead is not None else 0
        rotated = began_ns <= asked_ns and reading.jumps and reading.jumps.is_long(began_ns - mark.stamp)
        return False if rotated else None

    def gone(self, stream: OpenStream) -> Step:
        """The mark is no longer in the file: report the gap; what was held is new."""
        mark_ns, jumps = self._reading.cursor.newest_ns, self._reading.jumps
        first_ns = stream.search.first_ns or mark_ns
        seam = self._reading.seam
        if seam is not None and (seam.over or seam.overtaken(first_ns)):
            return stream.settle(self._reading.around.clock(), present=True)
        step = stream.settle(self._reading.around.clock(), present=False)
        if jumps is None or jumps.written_in(first_ns - mark_ns) > _ONE_RECORD_BYTES:
            self._reading.lost_before(step.records, first_ns, at_file=True)
        else:
            self._reading.begin_file()
        return step

    async def look_back(self, cause: Cause, *, ended: bool = False) -> int:
        """Look for the mark from the end of the log, in growing steps; how many records behind it were new.

        For where a read by time does not give all there is. `cause` is reported if the mark is not there.
        """
        deepest: tuple[int, int] | None = None
        newest_ns = await self._newest_ns()
        for tail in _STEPS:
            scan = await self.scan(tail=tail)
            if scan.search.found:
                new = await self.read(ended=ended, tail=2 * tail, present=True)
                if self._has_reached(newest_ns):
                    return new
                return new + await self._behind_damage(2 * tail, newest_ns, ended=ended)
            if (scan.newest_ns or 0) < newest_ns:
                return await self._behind_damage(tail, newest_ns, ended=ended)
            if not scan.search.seen:
                break
            deepest = tail, scan.search.first_ns or self._reading.cursor.newest_ns
            if scan.pieces < tail:
                break
        if deepest is None:
            return 0
        if cause is Cause.ROTATED:
            self._reading.lost_before(Records(), deepest[1], at_file=False)
        else:
            self._reading.lost(cause, self._reading.cursor.newest_ns, deepest[1])
        return await self.read(ended=ended, tail=2 * deepest[0], present=False)

    async def _behind_damage(self, beyond: int, newest_ns: int, *, ended: bool) -> int:
        """Read what stands behind the last damage; how many records were new.

        Found by halving: the most records from the end that the Engine reads through to the newest.

        beyond     from so many records back it does not
        newest_ns  the time of the newest
        """
        shown: OpenStream | None = None
        self.readable = 0
        while beyond - self.readable > 1:
            tail = (self.readable + beyond) // 2
            scan = await self.scan(tail=tail, whole=True)
            if (scan.newest_ns or 0) >= newest_ns:
                self.readable, shown = tail, scan
            else:
                beyond = tail
        if shown is None:
            return 0
        mark_ns, present = self._reading.cursor.newest_ns, shown.search.found
        if not present:
            self._reading.lost(Cause.DAMAGED, mark_ns, shown.search.first_ns or mark_ns)
        return await self.read(ended=ended, tail=self.readable, present=present)

    async def _newest_ns(self) -> int:
        """The time of the file's last record, 0 if it cannot be read."""
        return next(iter(await self.last_times(1)), 0)

    def _has_reached(self, newest_ns: int) -> bool:
        """Whether the last read came to a record that was in the file before: else damage stopped it."""
        return (self._read_to_ns or 0) >= newest_ns

    async def _shows_from_the_end(self) -> bool:
        """Whether the mark is found from the end of the log, where a read by time did not show it."""
        for tail in _STEPS:
            scan = await self.scan(tail=tail)
            if scan.search.found or scan.pieces < tail:
                return scan.search.found
        return False

    async def scan(
        self, *, since: str | None = None, tail: int | None = None, whole: bool = False
    ) -> OpenStream:
        """Look whether a part of the file has the mark, taking nothing. `whole`: to the end even so."""
        stream = self._reading.stream(place=Place(self._reading.cursor))
        stream.settle(0, present=True)
        async with self._reading.open(since=since, tail=tail, follow=False) as body:
            async for chunk in body:
                if stream.feed(chunk, 0).error is not None or (stream.search.found and not whole):
                    break
            else:
                stream.finish(0)
        return stream

    async def is_whole(self, stream: OpenStream) -> bool:
        """Whether a followed stream that has ended gave everything: then its last record is the file's."""
        mark = self._reading.cursor.mark
        if mark is None or stream.unfinished or not stream.search.found:
            return False
        last = await self.last_times(2)
        return last[-1:] == [mark.stamp] and last.count(mark.stamp) == 1

    async def newest(self, count: int) -> Records:
        """The log's last records."""
        stream = self._reading.stream(place=Place(Cursor()))
        tail = Records()
        async with self._reading.open(since=None, tail=count, follow=False) as body:
            async for chunk in body:
                tail.extend(stream.feed(chunk, 0).records)
        return tail

    async def last_times(self, count: int) -> list[int]:
        """The times of the file's last records, of one without a newline too: a follow may hold that back."""
        stream = self._reading.stream(place=Place(Cursor()))
        times: list[int] = []
        async with self._reading.open(since=None, tail=count, follow=False) as body:
            async for chunk in body:
                times += stream.feed(chunk, 0).records.stamps
        return times + stream.finish(0).records.stamps
