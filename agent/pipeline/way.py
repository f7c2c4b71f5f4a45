"""The way of records from the readers into the spool: through the steps of their container, if it has any.

What a step keeps back (a stack trace that may go on) is saved beside the cursor, in the same transaction. So the
log need not be read again, and a trace that `kill -9` cut is whole after the restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.batch import Batch, Container
from agent.pipeline.chain import Chain

log = logging.getLogger(__name__)

Put = Callable[[Sequence[Batch], Mapping[str, bytes]], Awaitable[None]]
Forget = Callable[[Collection[str]], Awaitable[None]]
#: What came while the event loop was busy is taken before anything is judged to have waited long enough.
_READERS_TURN_S = 0.02
#: After a restart the rest of what was kept back comes only when its container is read again.
_RESTART_GRACE_S = 10.0


@dataclass(slots=True, eq=False)
class _Lane:
    """One container's steps, and what was saved last: its cursor, and what is kept back.

    not_before  nothing is let go on earlier (monotonic seconds)
    """

    chain: Chain
    container: Container
    cursor: bytes
    held: bytes = b""
    not_before: float = float("-inf")
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def due(self) -> float | None:
        """When something of it is to be let go on."""
        at = self.chain.due()
        return None if at is None else max(at, self.not_before)


class Saved(Mapping[str, bytes]):
    """The cursors by container id, as the readers gave them."""

    def __init__(self, saved: Mapping[str, bytes]) -> None:
        self._saved = saved

    def __getitem__(self, container_id: str) -> bytes:
        return _Value.of(self._saved[container_id]).cursor

    def __iter__(self) -> Iterator[str]:
        return iter(self._saved)

    def __len__(self) -> int:
        return len(self._saved)


@dataclass(frozen=True, slots=True)
class _Value:
    """What is saved of a container: three lines, the latter two only while something is kept back."""

    cursor: bytes
    container: bytes = b""
    held: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> _Value:
        cursor, _, rest = data.partition(b"\n")
        container, _, held = rest.partition(b"\n")
        return cls(cursor, container, held)

    def to_bytes(self) -> bytes:
        return b"\n".join((self.cursor, self.container, self.held)) if self.held else self.cursor


class Way:
    """`begin` each container before its first batch; `put` and `forget` in place of the spool's; `run` meanwhile.

    cursors  what the readers gave last, by container id
    """

    def __init__(
        self,
        put: Put,
        forget: Forget,
        saved: Mapping[str, bytes],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cursors: Mapping[str, bytes] = Saved(saved)
        self._put = put
        self._forget = forget
        self._saved = saved
        self._now = now
        self._lanes: dict[str, _Lane] = {}
        self._news = asyncio.Event()
        self._wakes_at = float("inf")

    async def begin(self, container: Container, chain: Chain | None) -> None:
        """A container is about to be read: what was kept back of it is taken up again.

        chain  its steps; None: it has none
        """
        value = _Value.of(self._saved.get(container.id, b""))
        if chain is not None:
            lane = self._lanes[container.id] = _Lane(chain, container, value.cursor)
            if value.held:
                self._take_up(lane, value.held)
        elif value.held:
            await self._let_go(container, value)

    async def put(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        """Take batches of one container, and the cursor behind them, by its id. Cancelled, it has taken nothing."""
        [(container_id, cursor)] = cursors.items()
        lane = self._lanes.get(container_id)
        if lane is None:
            await self._put(batches, cursors)
            return
        async with lane.turn:
            if batches:
                lane.container = batches[-1].container
                lane.not_before = float("-inf")
            await self._pass(
                lane, cursor, lambda now: [done for batch in batches for done in lane.chain.feed(batch, now)]
            )

    async def ended(self, container_id: str) -> None:
        """A container has ended, and all it wrote was put: nothing is kept back."""
        lane = self._lanes.get(container_id)
        if lane is not None and lane.due is not None:
            async with lane.turn:
                await self._pass(lane, lane.cursor, lane.chain.finish)

    async def forget(self, container_ids: Collection[str]) -> None:
        """These containers are gone: what is kept back of them goes on."""
        for container_id in container_ids:
            await self.ended(container_id)
            if self._lanes.pop(container_id, None) is None and container_id in self._saved:
                value = _Value.of(self._saved[container_id])
                if value.held:
                    await self._let_go(Container.from_json(value.container), value)
        await self._forget(container_ids)

    async def run(self) -> None:
        """Let go on what was kept back long enough."""
        while True:
            self._news.clear()
            dues = (due for lane in self._lanes.values() if (due := lane.due) is not None)
            self._wakes_at = min(dues, default=float("inf"))
            if await self._news_before(self._wakes_at):
                continue
            await asyncio.sleep(_READERS_TURN_S)
            for lane in list(self._lanes.values()):
                await self._flush(lane)

    async def finish(self) -> None:
        """Nothing more is read, and nothing is saved: what is kept back goes on."""
        for container_id in list(self._lanes):
            await self.ended(container_id)

    async def _flush(self, lane: _Lane) -> None:
        if lane.turn.locked():  # its reader waits for the spool: what follows may have been read already
            return
        due = lane.due
        if due is not None and due <= self._now():
            async with lane.turn:
                await self._pass(lane, lane.cursor, lane.chain.flush)

    async def _news_before(self, at: float) -> bool:
        """Wait until that time, or until something is to be let go on earlier: whether it is."""
        limit = None if at == float("inf") else asyncio.get_running_loop().time() + max(0.0, at - self._now())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(limit):
                await self._news.wait()
        return self._news.is_set()

    def _take_up(self, lane: _Lane, held: bytes) -> None:
        try:
            lane.chain.restore(held, lane.container)
        except ValueError as error:
            log.warning("what was kept back of container %s is lost: %s", lane.container.name, error)
            return
        lane.held, lane.not_before = held, self._now() + _RESTART_GRACE_S
        self._news.set()

    async def _pass(self, lane: _Lane, cursor: bytes, work: Callable[[float], Sequence[Batch]]) -> None:
        """Put what comes of `work`, with what is kept back after it; or neither."""
        try:
            batches = work(self._now())
            held = lane.chain.held()
            value = _Value(cursor, lane.container.to_json() if held else b"", held)
            await self._put(batches, {lane.container.id: value.to_bytes()})
        except BaseException:
            lane.chain.restore(lane.held, lane.container)
            raise
        lane.cursor, lane.held = cursor, held
        due = lane.due
        if due is not None and due < self._wakes_at:
            self._news.set()

    async def _let_go(self, container: Container, value: _Value) -> None:
        """Nobody keeps this back any more."""
        try:
            batches = Chain.let_go(value.held, container)
        except ValueError as error:
            log.warning("what was kept back of container %s is lost: %s", container.name, error)
            batches = []
        await self._put(batches, {container.id: value.cursor})
