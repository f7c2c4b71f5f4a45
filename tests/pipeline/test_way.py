"""What is kept back between readers and spool is saved with the cursor, let go on in time, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from agent.batch import Batch, Container, Stream
from agent.labels import read_labels
from agent.pipeline import way as module
from agent.pipeline.chain import Chain
from agent.pipeline.rules import Rules
from agent.pipeline.way import Way
from agent.settings import Settings
from tests.pipeline.steps import Tallied

WEB = Container(id="a" * 64, name="web", image="nginx", tag="web", host="node", labels={"x": "1\n2"})
TRACE = [b"Traceback (most recent call last):", b'  File "x.py", line 1, in <module>', b"ValueError: no"]


def chain(**labels: str) -> Chain:
    options, problems = read_labels(
        {f"dockferry.{name}": text for name, text in labels.items()}, container_name="web"
    )
    assert not problems
    return Chain(Rules.of(Settings.load({}), options), Tallied())


def lines(*messages: bytes, at: int = 100) -> Batch:
    return Batch(WEB, Stream.STDOUT, [at + row for row in range(len(messages))], list(messages))


@dataclass
class Box:
    """A spool: what was put, and the cursors as they would be after a restart."""

    messages: list[bytes] = field(default_factory=list)
    cursors: dict[str, bytes] = field(default_factory=dict)
    broken: Exception | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        for batch in batches:
            self.messages += batch.messages
        self.cursors.update(cursors)
        self.came.set()

    async def forget(self, container_ids: Collection[str]) -> None:
        for container_id in container_ids:
            self.cursors.pop(container_id, None)

    def way(self) -> Way:
        return Way(self.put, self.forget, self.cursors)


async def test_without_steps_all_passes_untouched() -> None:
    """The very same objects, and nothing beside the cursor."""
    put: list[Batch] = []

    async def keep(batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        put.extend(batches)
        assert cursors == {WEB.id: b"cursor"}

    way = Way(keep, Box().forget, {})
    await way.begin(WEB, None)
    sent = lines(b"a", b"b")
    await way.put([sent], {WEB.id: b"cursor"})
    assert put == [sent]


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_a_trace_that_a_kill_cut_is_whole_after_the_restart(cut: int) -> None:
    """At every line: what was saved with the cursor is all the next run needs."""
    box = Box()
    before = box.way()
    await before.begin(WEB, chain(multiline="python"))
    await before.put([lines(b"plain", *TRACE[:cut])], {WEB.id: b"one"})
    assert TRACE[0] not in box.messages
    after = box.way()
    assert after.cursors[WEB.id] == b"one"
    await after.begin(WEB, chain(multiline="python"))
    if TRACE[cut:]:
        await after.put([lines(*TRACE[cut:], at=200)], {WEB.id: b"two"})
    await after.ended(WEB.id)
    assert box.messages == [b"plain", b"\n".join(TRACE)]
    assert box.cursors == {WEB.id: b"two" if TRACE[cut:] else b"one"}


async def test_what_was_not_put_is_kept_back_as_before() -> None:
    """A reader whose hand-over failed comes again with the same lines."""
    box = Box()
    way = box.way()
    await way.begin(WEB, chain(multiline="python"))
    await way.put([lines(*TRACE[:1])], {WEB.id: b"one"})
    box.broken = RuntimeError("cancelled, say")
    with pytest.raises(RuntimeError):
        await way.put([lines(*TRACE[1:], at=200)], {WEB.id: b"two"})
    box.broken = None
    await way.put([lines(*TRACE[1:], at=200)], {WEB.id: b"two"})
    await way.ended(WEB.id)
    assert box.messages == [b"\n".join(TRACE)]


async def test_what_has_waited_goes_on_by_itself() -> None:
    """No further line is needed."""
    box = Box()
    way = box.way()
    await way.begin(WEB, chain(multiline="python;timeout=50ms"))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(way.run())
        await way.put([lines(*TRACE)], {WEB.id: b"one"})
        while not box.messages:
            box.came.clear()
            await box.came.wait()
        running.cancel()
    assert box.messages == [b"\n".join(TRACE)]
    assert way.cursors == {WEB.id: b"one"}


async def test_after_a_restart_the_rest_is_awaited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes only when the container is read again; if nothing comes, it goes on all the same."""
    box = Box()
    before = box.way()
    await before.begin(WEB, chain(multiline="python;timeout=10ms"))
    await before.put([lines(*TRACE[:2])], {WEB.id: b"one"})
    monkeypatch.setattr(module, "_RESTART_GRACE_S", 3600.0)
    patient = box.way()
    await patient.begin(WEB, chain(multiline="python;timeout=10ms"))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(patient.run())
        await asyncio.sleep(0.1)
        assert not box.messages
        await patient.put([lines(TRACE[2], at=200)], {WEB.id: b"two"})
        while not box.messages:
            box.came.clear()
            await box.came.wait()
        running.cancel()
    assert box.messages == [b"\n".join(TRACE)]


async def test_of_a_container_that_is_gone_nothing_is_kept_back() -> None:
    """Removed while it was read, or while the agent did not run; or its label was taken away."""
    box = Box()
    way = box.way()
    await way.begin(WEB, chain(multiline="python"))
    await way.put([lines(*TRACE)], {WEB.id: b"one"})
    saved = dict(box.cursors)
    await way.forget([WEB.id])
    assert (box.messages, box.cursors) == ([b"\n".join(TRACE)], {})

    absent = Box(cursors=dict(saved))
    await absent.way().forget([WEB.id])
    assert (absent.messages, absent.cursors) == ([b"\n".join(TRACE)], {})

    unasked = Box(cursors=dict(saved))
    await unasked.way().begin(WEB, None)
    assert (unasked.messages, unasked.cursors) == ([b"\n".join(TRACE)], {WEB.id: b"one"})


async def test_what_cannot_be_taken_up_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """And the container is read on."""
    box = Box(cursors={WEB.id: b"one\n" + WEB.to_json() + b"\nrubbish"})
    way = box.way()
    await way.begin(WEB, chain(multiline="python"))
    assert "what was kept back of container web is lost" in caplog.text
    await way.put([lines(b"on")], {WEB.id: b"two"})
    await way.ended(WEB.id)
    assert box.messages == [b"on"]


async def test_in_memory_nothing_stays_behind() -> None:
    """There is no next run to take it up."""
    box = Box()
    way = box.way()
    await way.begin(WEB, chain(multiline="python"))
    await way.put([lines(*TRACE)], {WEB.id: b"one"})
    await way.finish()
    assert box.messages == [b"\n".join(TRACE)]
