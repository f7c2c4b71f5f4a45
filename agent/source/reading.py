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
from agent.source.first_look import FirstLook
from agent.source.frames import STDERR, STDOUT
from agent.source.heard import Recent
from agent.source.lines import Records
from agent.source.meter import Meter, encoded_as
from agent.source.repeats import Repeats
from agent.source.rotation import Jumps, compressed, file_bytes, files
from agent.source.seam import Seam
from agent.source.stream import OpenStream, Shape, Step

HandOn = Callable[[Sequence[Batch], Mapping[str, bytes]], Awaitable[None]]
IDLE_S = 30.0
#: Podman leaves out what is as old as `since`, which it reads as a float: so much older is old enough.
_BEFORE_NS = 1000
#: So much of what may rotate away may have been written since what a follow shows.
_OUTRUN_SHARE = 0.5


async def _no_matter(_: str) -> None:
    """Nobody waits for the end of a container."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every reader shares.

    hand_on  takes batches and, by container id, the cursor behind them; may make the reader wait
    ended    told a container's id when it does not run and all it wrote was handed on
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
    ended: Callable[[str], Awaitable[None]] = _no_matter


class Skipped(Exception):  # no error: a way to go on
    """The followed stream left something out, or does not show the mark: catch up."""


class Hung(Exception):  # no error: a way to go on
    """The stream shows nothing, though the file has more."""


class Reading:
    """One container's place and way. `container` may be exchanged at any time (a rename).

    taken   how many records were handed on
    seam    while attached: only the streams it has not joined are taken from the log
    recent  what was taken live, since anything was taken from the log
    blind   a read by time may not give all: Engines before 23 skip all rotated files when the oldest, compressed,
            is older than `since`
    meter   of what is taken from the log; None if its files do not rotate
    rotated_bytes  in so many bytes the Engine has what a read opens in any case; 0: that cannot be said
    """

    def __init__(
        self, facts: ContainerFacts, container: Container, cursor: Cursor, around: Surroundings
    ) -> None:
        self.container = container
        self.facts = facts
        self.around = around
        self.place = Place(cursor)
        self.taken = 0
        self.seam: Seam | None = None
        self.recent = Recent()
        version = around.client.version
        self._shape = Shape(
            tty=facts.tty,
            shared_stamps=facts.driver != "journald" and not version.pieces_of_any_size,
            max_line_bytes=around.max_line_bytes,
            short_ends=not version.pieces_of_any_size,
        )
        rotate = file_bytes(facts.driver, facts.log_options)
        old = version.repeats_on_rotation
        self.meter = Meter(facts.driver, rotate) if rotate else None
        self.jumps = Jumps(rotate, self.meter) if rotate and self.meter else None
        self.blind = bool(rotate and old and compressed(facts.driver, facts.log_options))
        rotated = files(facts.driver, facts.log_options) - 1 if not (self.blind or version.podman) else 0
        self.rotated_bytes = (rotate or 0) * rotated
        self._first_look: FirstLook | None = None
        if rotate and cursor == Cursor() and facts.started_ns and not facts.restart_count:
            encoded = encoded_as(facts.driver)
            self._first_look = FirstLook(facts.started_ns, rotate, self.rotated_bytes, encoded)
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
        self, *, since: str | None, tail: int | None, follow: bool, until: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """`EngineClient.stream_logs`, counted."""
        self.around.metrics.stream_opens.labels(self.container.name).inc()
        return self.around.client.stream_logs(
            self.container.id, since=since, until=until, tail=tail, follow=follow
        )

    def since(self, at_ns: int | None = None) -> str | None:
        """From when to read, so that the answer has the mark: Engines before 24 leave out what is older.

        at_ns  the time of an earlier record, to read from that
        """
        at = self.cursor.newest_ns if at_ns is None else at_ns
        version = self.around.client.version
        if self.cursor.mark and not version.exact_since:
            at -= DISORDER_NS
        if version.whole_seconds and at > 0:
            at -= at % NS + _BEFORE_NS
        return seconds(at) if at > 0 else None

    async def take(self, stream: OpenStream, step: Step) -> None:
        """Hand on what is new. Raises Skipped at a jump, StreamError at the Engine's error."""
        name, before = self.container.name, self.cursor
        records, unended = step.records, stream.open_streams
        if self.seam is not None:
            records = self._of_open_streams(records)
        if step.behind is not None or (self.seam is not None and self.seam.begun):
            # What the stream says of its end is not true of the last of these rows: the mark waits.
            unended = frozenset((STDOUT, STDERR))
        batches = self.place.take(records, self.container, open_streams=unended, owed=stream.search.owed)
        if step.repeats:
            self.around.metrics.repeats_removed.labels(name).inc(step.repeats)
        if batches:
            try:
                await self.hand_on(batches, self.cursor)
            except BaseException:
                self.place.cursor = before
                raise
            stream.kept(step)
            self.recent = Recent()
            if self.meter is not None:
                self.meter.add(records)
            if self._first_look is not None:
                self._lost_at_first(self._first_look.see(records, self.around.clock()))
        if self.seam is not None:
            self.seam.see(step.records)
        if step.behind is not None:
            raise Skipped
        if step.error is not None:
            raise StreamError(step.error)

    def _lost_at_first(self, first_ns: int | None) -> None:
        if first_ns is not None:
            why = "its log had rotated before it was looked at"
            self.lost(Cause.ROTATED, self.facts.started_ns, first_ns, why)

    def _of_open_streams(self, records: Records) -> Records:
        """Those that do not come live."""
        open_streams = self.seam.open if self.seam else frozenset((STDOUT, STDERR))
        if open_streams >= set(records.streams):
            return records
        return records.take([row for row, stream in enumerate(records.streams) if stream in open_streams])

    async def take_live(self, records: Records) -> None:
        """Hand on what was received live."""
        before = self.cursor
        batches = self.place.take_live(records, self.container, self.recent.add(records))
        try:
            await self.hand_on(batches, self.cursor)
        except BaseException:
            self.place.cursor = before
            raise
        if self.meter is not None:
            self.meter.forget()

    async def move(self, cursor: Cursor) -> None:
        """Say the same place in other terms."""
        self.place.cursor = cursor
        await self.around.hand_on([], {self.container.id: cursor.to_bytes()})

    async def end(self) -> None:
        """Note that the container does not run, and that all it wrote was taken."""
        if self._first_look is not None:
            self._lost_at_first(self._first_look.end())
        if not self.cursor.ended:
            await self.move(replace(self.cursor, ended=True))
            await self.around.ended(self.container.id)

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

    def begin_file(self) -> None:
        """What comes next is the first record of one of the log's files."""
        if self.meter is not None:
            self.meter.begin_file()

    def is_outrun(self, newest_ns: int) -> bool:
        """Whether files may soon rotate away unread, now that a stream shows records of that time."""
        if self.meter is None or not self.rotated_bytes or self.around.client.endpoint.socket_path is None:
            return False  # elsewhere the clock may be off
        behind_ns = self.around.clock() - newest_ns
        return behind_ns * self.meter.pace_at(newest_ns) > _OUTRUN_SHARE * self.rotated_bytes

    def lost_before(self, behind: Records, first_ns: int, *, at_file: bool, why: str = "") -> None:
        """Enter what rotated away between the mark and a record of that time, with about how many it were.

        behind   that record and some more, if they are known
        at_file  it begins a file
        """
        mark_ns, about = self.cursor.newest_ns, None
        if self.meter is not None and not self.around.client.version.podman:  # it throws its only file away
            about = self.meter.between(mark_ns, first_ns, behind, at_file=at_file)
        if at_file:
            self.begin_file()
        self.lost(Cause.ROTATED, mark_ns, first_ns, why, about=about)

    def lost(
        self, cause: Cause, first_ns: int, last_ns: int, why: str = "", *, about: int | None = None
    ) -> None:
        """Enter a loss. `about`: of so many records; else of an unknown number."""
        self.around.losses.record(
            cause,
            container=self.container.name,
            now=self.around.now(),
            first_ns=first_ns,
            last_ns=last_ns,
            records=about,
            estimated=about is not None,
            why=why,
        )


def seconds(at_ns: int) -> str:
    """A time as the Engine takes it for `since` and `until`."""
    return f"{at_ns // NS}.{at_ns % NS:09d}"
