"""The spool against a simple model, under generated actions, crashes among them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.options import KiB
from agent.spool import Entry, Spool
from tests.spool.batches import batch, container, drained, number, opened

T = TypeVar("T")
SINKS = ("a", "b", "c")
WHO = [container("web"), container("db", ["a"]), container("job", ["b", "c"]), container("odd", [])]


class SpoolModel(RuleBasedStateMachine):
    """A list of what was put, and by sink what is done: what the spool gives must follow from that alone."""

    memory = 64 * KiB  # so little that laggards are fed from disk

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directories = [Path(tempfile.mkdtemp(prefix="spool-model-"))]
        self.put_: list[tuple[int, int]] = []  # number, container
        self.done_: dict[str, set[int]] = {sink: set() for sink in SINKS}
        self.sure: dict[str, set[int]] = {sink: set() for sink in SINKS}  # done, and surely saved
        self.taken: dict[str, list[Entry]] = {sink: [] for sink in SINKS}
        self.last_seq = 0
        self.open()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(asyncio.wait_for(call, 20))

    def call(self, action: Callable[[], None]) -> None:
        async def inside() -> None:
            action()

        self.run(inside())

    def open(self) -> None:
        self.context: AbstractAsyncContextManager[Spool] = opened(
            self.directories[-1], *SINKS, memory=self.memory
        )
        # The context is entered and left by different calls, so it lives in a task of its own.
        self.ready: asyncio.Future[Spool] = self.loop.get_loop().create_future()
        self.leave = asyncio.Event()
        self.life = self.loop.get_loop().create_task(self.live())
        self.spool = self.run(self.entered())

    async def entered(self) -> Spool:
        return await self.ready

    async def live(self) -> None:
        async with self.context as spool:
            self.ready.set_result(spool)
            await self.leave.wait()

    async def left(self) -> None:
        self.leave.set()
        await self.life

    def wanted(self, sink: str) -> list[int]:
        names = [who.sinks for who in WHO]
        return [n for n, who in self.put_ if (sinks := names[who]) is None or sink in sinks]

    @rule(many=st.lists(st.tuples(st.sampled_from(range(4)), st.sampled_from([10, 3000])), max_size=4))
    def put(self, many: list[tuple[int, int]]) -> None:
        first = len(self.put_)
        made = [batch(first + i, size=size, who=WHO[who]) for i, (who, size) in enumerate(many)]
        self.put_ += [(first + i, who) for i, (who, _) in enumerate(many)]
        self.run(self.spool.put(made, {"all": b"%d" % len(self.put_)}))

    @rule()
    def flush(self) -> None:
        self.run(self.spool.flush())
        assert self.spool.cursors.get("all", b"0") == b"%d" % len(self.put_)
        self.sure = {sink: set(done) for sink, done in self.done_.items()}

    @rule(sink=st.sampled_from(SINKS), records=st.integers(1, 20))
    def fill(self, sink: str, records: int) -> None:
        given = {number(entry.batch) for entry in self.taken[sink]}
        left = [n for n in self.wanted(sink) if n not in self.done_[sink] and n not in given]
        if not left:
            return
        self.run(self.spool.flush())
        entries = self.run(self.spool.reader(sink).fill(records=records, bytes=1 << 20, age=0))
        numbers = [number(entry.batch) for entry in entries]
        assert numbers == left[: len(numbers)]
        assert numbers
        assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})
        for entry in entries:
            assert (
                entry.batch.messages == batch(number(entry.batch), size=len(entry.batch.messages[0])).messages
            )
        self.taken[sink] += entries

    @rule(sink=st.sampled_from(SINKS), data=st.data())
    def done(self, sink: str, data: st.DataObject) -> None:
        if not self.taken[sink]:
            return
        entries = data.draw(st.lists(st.sampled_from(self.taken[sink]), unique_by=lambda entry: entry.seq))
        self.call(lambda: self.spool.reader(sink).done(entries, b"%d" % len(self.done_[sink])))
        self.taken[sink] = [entry for entry in self.taken[sink] if entry not in entries]
        self.done_[sink] |= {number(entry.batch) for entry in entries}

    @rule(sink=st.sampled_from(SINKS))
    def rewind(self, sink: str) -> None:
        self.call(self.spool.reader(sink).rewind)
        self.taken[sink] = []

    @rule()
    def reopen(self) -> None:
        self.run(self.left())
        self.sure = {sink: set(done) for sink, done in self.done_.items()}
        self.taken = {sink: [] for sink in SINKS}
        self.open()
        assert self.spool.cursors.get("all", b"0") == b"%d" % len(self.put_)

    @rule()
    def crash(self) -> None:
        """What is on disk between two commits is all that is left."""
        disk = self.spool._keeper._disk  # type: ignore[union-attr]
        copy = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self.run(disk._write(lambda: shutil.copytree(self.directories[-1], copy, dirs_exist_ok=True)))
        self.run(self.left())
        self.directories.append(copy)
        self.open()
        survived = int(self.spool.cursors.get("all", b"0"))
        assert survived <= len(self.put_)
        self.put_ = self.put_[:survived]
        self.taken = {sink: [] for sink in SINKS}
        for sink in SINKS:
            self.settle(sink)

    def settle(self, sink: str) -> None:
        """After a crash: done since the last save may be given again; nothing else may."""
        reader = self.spool.reader(sink)
        again = [n for n in self.wanted(sink) if n not in self.sure[sink]]
        given: list[int] = []
        while reader.lag().records > reader._place.busy.records:
            entries = self.run(reader.fill(records=50, bytes=1 << 20, age=0))
            given += [number(entry.batch) for entry in entries]
        self.call(reader.rewind)
        assert given == sorted(set(given))
        assert set(given) <= set(again)
        assert set(again) - self.done_[sink] <= set(given)
        self.done_[sink] = set(self.wanted(sink)) - set(given)
        self.sure[sink] = set(self.done_[sink])

    @invariant()
    def lag_is_what_is_not_done(self) -> None:
        for sink in SINKS:
            left = [n for n in self.wanted(sink) if n not in self.done_[sink]]
            lag = self.spool.reader(sink).lag()
            assert lag.records == 3 * len(left)
            assert (lag.oldest_ns is not None) == bool(left)

    @invariant()
    def memory_is_bounded(self) -> None:
        queue = self.spool._queue
        held = {slot.seq: slot for place in queue.places.values() for slot in place.undone()}
        assert queue.held_bytes <= 2 * self.memory + sum(slot.size for slot in held.values())
        assert queue.held_bytes == sum(slot.size for slot in queue.held.values())
        assert queue._window_bytes == sum(slot.size for slot in queue._window.values())
        assert queue.unwritten_bytes == sum(slot.size for slot in queue.unwritten)

    def teardown(self) -> None:
        self.call(self.spool.seal)
        for sink in SINKS:
            left = [n for n in self.wanted(sink) if n not in self.done_[sink]]
            self.call(self.spool.reader(sink).rewind)
            assert self.run(drained(self.spool.reader(sink))) == left
        self.run(self.left())
        self.loop.close()
        for directory in self.directories:
            shutil.rmtree(directory)


SpoolModel.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestSpoolModel = pytest.mark.timeout(300)(SpoolModel.TestCase)
