"""The `logs` reader for an Engine whose follow leaves things out: Podman.

Podman follows with nxadm/tail, which hands out half a line where it meets the file's end in mid-line, and goes on
behind what was written meanwhile. A read without follow goes through the file once; only what is written during
that moment is in doubt. So what is younger than the moment is left for the next read (`until`), and a follow is but
a bell: it rings when there is something new. When the file is full Podman's conmon throws it away and begins anew;
then the mark is gone, and that is told.
"""

from __future__ import annotations

import asyncio

from agent.batch import NS
from agent.engine.containers import ContainerFacts
from agent.errors import EngineRefused
from agent.source.reader import GONE, Reader
from agent.source.reading import seconds

#: So old, a record stands in the file with all before it: on this host, and where the clock may be off. conmon tells
#: the time before it writes; with 0.25 s a busy machine (load 9 on 2 cores) was once too slow.
_HERE_S, _ELSEWHERE_S = 1.0, 3.0
#: How many records back the mark is looked for first, at the least and at the most.
_TAIL_RECORDS = 1000
_TAIL_MOST_RECORDS = 1_000_000
_LONG_S = 5.0
_IDLE_MOST_S = 600.0
#: Podman's answer when the file ends in half a line at this very moment, and is to be read from there.
_CANNOT, _TRIES = 500, 3


class SettledReader(Reader):
    """Reads again and again what has settled, and rests while nothing is written."""

    _tail = _TAIL_RECORDS

    @property
    def _settled_s(self) -> float:
        """How old a record must be to be read."""
        return _HERE_S if self._around.client.endpoint.socket_path is not None else _ELSEWHERE_S

    async def _read_to_an_end(self) -> ContainerFacts | None:
        began, begun = self._around.now(), self._has_begun
        try:
            if self._reading.facts.running:
                await self._read_while_it_runs()
            self._reading.facts = await self._around.client.inspect(self.container.id)
            if not self._reading.facts.running:
                await self._history.catch_up(ended=True)
                # The log of a container that was removed meanwhile is answered as if it were empty.
                await self._around.client.inspect(self.container.id)
        except EngineRefused as refused:
            if refused.status not in GONE:
                raise
            if begun:
                self._removed_unread()
            return None
        if self._around.now() - began >= _LONG_S:
            self._failures = 0
        return self._reading.facts

    async def _read_while_it_runs(self) -> None:
        """Read until the bell's stream ends: the container has ended, or the connection."""
        patience = self._around.idle_s
        while True:
            async with self._reading.open(since=None, tail=0, follow=True) as bell:
                await self._read_settled()
                # Once at least: what was written before the bell was hung up has settled by then.
                while await self._read_later():
                    patience = self._around.idle_s
                try:
                    async with asyncio.timeout(patience):
                        if not await anext(bell, b""):
                            return
                except TimeoutError:
                    patience = min(2 * patience, _IDLE_MOST_S)

    async def _read_later(self) -> int:
        """Read once what is there now has settled."""
        await asyncio.sleep(self._settled_s)
        return await self._read_settled()

    async def _read_settled(self) -> int:
        """Read what is behind the cursor and has settled; how many records that was."""
        before = self._reading.taken
        until = seconds(self._around.clock() - int(self._settled_s * NS))
        if not (self.cursor.mark and await self._read_from_the_end(until)):
            stream = self._reading.stream()
            async with self._reading.open(
                since=self._reading.since(), until=until, tail=None, follow=False
            ) as body:
                async for chunk in body:
                    await self._history.take(stream, stream.feed(chunk, self._around.clock()))
            if not stream.search.found and stream.search.seen:
                await self._history.take(stream, self._history.gone(stream))
        new = self._reading.taken - before
        self._tail = max(_TAIL_RECORDS, 4 * new)
        return new

    async def _read_from_the_end(self, until: str) -> bool:
        """Find the mark among the last records, and take what is behind it; False if it is not among them."""
        refused = 0
        while self._tail <= _TAIL_MOST_RECORDS and refused < _TRIES:
            stream = self._reading.stream(partial=True)
            stream.settle(0, present=True)
            try:
                async with self._reading.open(since=None, until=until, tail=self._tail, follow=False) as body:
                    async for chunk in body:
                        await self._reading.take(stream, stream.feed(chunk, self._around.clock()))
            except EngineRefused as error:
                if error.status != _CANNOT:
                    raise
                refused += 1
                continue
            if stream.search.found or stream.pieces < self._tail:
                return stream.search.found
            self._tail *= 4
        return False
