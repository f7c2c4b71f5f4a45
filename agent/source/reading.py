"""What is being read of one container: its place, and the way its records are handed on.

Shared by all ways of reading it: without follow (`history`), following (`logs`), attached (`attach`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from agent.batch import NS, Batch, Container
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts
from agent.errors import StreamError
from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.source.cursor import DISORDER_NS, Cursor, Place
from agent.source.frames import STDERR, STDOUT
from agent.source.repeats import Repeats
from agent.source.rotation import Jumps, compressed, file_bytes
from agent.source.stream import OpenStream, Shape, Step

HandOn = Callable[[Sequence[Batch], Mapping[str, bytes]], Awaitable[None]]
IDLE_S = 30.0


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


class Skipped(Exception):  # no error: a way to go on
    """The followed stream left something out, or does not show the mark: catch up."""


class Hung(Exception):  # no error: a way to go on
    """The stream shows nothing, though the file has more."""


class Reading:
    """One container's place and way. `container` may be exchanged at any time (a rename).

    taken   how many records were handed on
    blind   a read by time may not give all: Engines before 23 skip all rotated files when the oldest, compressed,
            is older than `since`
    """

    def __init__(
        self, facts: ContainerFacts, container: Container, cursor: Cursor, around: Surroundings
    ) -> None:
        self.container = container
        self.facts = facts
        self.around = around
        self.place = Place(cursor)
        self.taken = 0
        self._shape = Shape(facts.tty, facts.driver != "journald", around.max_line_bytes)
        rotate = file_bytes(facts.driver, facts.log_options)
        old = around.client.version.repeats_on_rotation
        self.jumps = Jumps(rotate) if rotate else None
        self.blind = bool(rotate and old and compressed(facts.driver, facts.log_options))
        self._repeats = Repeats(rotate) if rotate and old else None

    @property
    def cursor(self) -> Cursor:
        """How far the records handed on reach."""
        return self.place.cursor

    def stream(
        self, *, jumps: Jumps | None = None, place: Place | None = None, partial: bool = False
    ) -> OpenStream:
        """A stream to be opened. `place`: another than ours, to look only; `partial`: it begins anywhere."""
        repeats = self._repeats if place is None else None
        return OpenStream(self._shape, place or self.place, repeats=repeats, jumps=jumps, partial=partial)

    def open(
        self, *, since: str | None, tail: int | None, follow: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """`EngineClient.stream_logs`, counted."""
        self.around.metrics.stream_opens.labels(self.container.name).inc()
        return self.around.client.stream_logs(self.container.id, since=since, tail=tail, follow=follow)

    def since(self) -> str | None:
        """From when to read, so that the answer has the mark: Engines before 24 leave out what is older."""
        at = self.cursor.newest_ns
        if self.cursor.mark and not self.around.client.version.exact_since:
            at -= DISORDER_NS
        return f"{at // NS}.{at % NS:09d}" if at > 0 else None

    async def take(self, stream: OpenStream, step: Step) -> None:
        """Hand on what is new. Raises Skipped at a jump, StreamError at the Engine's error."""
        name, before = self.container.name, self.cursor
        # What the stream says of its end is not true of the row where it jumps: the mark waits.
        unended = frozenset((STDOUT, STDERR)) if step.behind is not None else stream.open_streams
        batches = self.place.take(step.records, self.container, open_streams=unended, owed=stream.search.owed)
        if step.repeats:
            self.around.metrics.repeats_removed.labels(name).inc(step.repeats)
        if batches:
            try:
                await self.hand_on(batches, self.cursor)
            except BaseException:
                self.place.cursor = before
                raise
            stream.kept(step)
        if step.behind is not None:
            raise Skipped
        if step.error is not None:
            raise StreamError(step.error)

    async def end(self) -> None:
        """Note that the container does not run, and that all it wrote was taken."""
        if not self.cursor.ended:
            self.place.cursor = replace(self.cursor, ended=True)
            await self.around.hand_on([], {self.container.id: self.cursor.to_bytes()})

    async def hand_on(self, batches: Sequence[Batch], cursor: Cursor) -> None:
        """Count these, and hand them on with the cursor behind them."""
        metrics, name = self.around.metrics, self.container.name
        await self.around.hand_on(batches, {self.container.id: cursor.to_bytes()})
        for batch in batches:
            self.taken += len(batch)
            metrics.read_records.labels(name, batch.stream.value).inc(len(batch))
            metrics.read_bytes.labels(name, batch.stream.value).inc(sum(map(len, batch.messages)))
            if batch.truncated:
                metrics.truncated_records.labels(name, batch.stream.value).inc(len(batch.truncated))

    def lost(self, cause: Cause, first_ns: int, last_ns: int, why: str = "") -> None:
        """Enter a loss of an unknown number of records."""
        self.around.losses.record(
            cause,
            container=self.container.name,
            now=self.around.now(),
            first_ns=first_ns,
            last_ns=last_ns,
            why=why,
        )
