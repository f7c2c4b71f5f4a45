"""Log files of a real Engine that lose something, by rotation or by damage: the rest arrives, the loss is told."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from docker.models.containers import Container

from agent.engine.client import EngineClient
from agent.engine.endpoint import resolve
from agent.losses import Cause
from tests.engine.containers import RunContainer, numbered_lines
from tests.engine.dockerd import Engine, PrivateEngine
from tests.engine.shipping import Agent, messages, records, until
from tests.source.reading import Reading

pytestmark = pytest.mark.engine
#: Waits for a word from outside before it goes on.
WHEN_TOLD = "while [ ! -e /go ]; do usleep 20000; done"
#: Each of 20 lines has a time of its own.
TEN, TEN_MORE = (f"for i in $(seq {n} {n + 9}); do echo line $i; usleep 2000; done" for n in (1, 11))
DAMAGED = re.compile(r"lost .* records of container \S+ between (\S+) and (\S+): log_file_damaged")


def _go(container: Container) -> None:
    container.exec_run(["/bin/sh", "-c", "true > /go"])


@dataclass(frozen=True, slots=True)
class OnThisMachine:
    """A container of an Engine whose clock is ours."""

    id: str

    def now(self) -> int:
        return time.time_ns()


@contextlib.asynccontextmanager
async def _read(engine: Engine, container: Container) -> AsyncIterator[Reading]:
    """The `logs` reader on that container."""
    async with EngineClient(resolve({"DOCKER_HOST": engine.host}), docker={}) as client:
        await client.connect()
        real = OnThisMachine(container.id or "")
        reading = Reading(real, client, real)
        async with reading.running():
            yield reading


async def test_what_a_burst_rotates_away_is_reported_with_its_times(
    engine: Engine, run_container: RunContainer
) -> None:
    """300,000 lines into two files of 1 MB: each arrives once, in order, or lies in a range that is reported."""
    count = 300_000
    container = run_container(
        f"echo 000000; {WHEN_TOLD}; {numbered_lines(count)}; sleep 1; echo {count + 1}",
        log_opts={"max-size": "1m", "max-file": "2"},
    )
    async with _read(engine, container) as reading:
        await reading.lines(1)
        await asyncio.to_thread(_go, container)
        await reading.until(lambda: reading.kept.lines()[-1] == b"%06d" % (count + 1))
    arrived = list(_arrived(reading))
    holes = [(one, other) for one, other in pairwise(arrived) if other.number != one.number + 1]
    assert all(one.number < other.number for one, other in holes)
    assert holes, "nothing rotated away: then this test shows nothing"
    assert {loss.cause for loss in reading.losses.entries} == {Cause.ROTATED}
    ranges = [(loss.first_ns, loss.last_ns) for loss in reading.losses.entries]
    told = [any(first <= one.at and other.at <= last for first, last in ranges) for one, other in holes]
    assert all(told), f"{told.count(False)} of {len(holes)} holes are not told of"


@dataclass(frozen=True, slots=True)
class Line:
    """A numbered line and its time, ns since the epoch."""

    number: int
    at: int


def _arrived(reading: Reading) -> Iterator[Line]:
    for batch in reading.kept.batches:
        yield from map(Line, map(int, batch.messages), batch.timestamps)


@pytest.mark.parametrize("runs", [True, False], ids=["running", "ended"])
def test_behind_a_hole_in_the_log_file_it_goes_on_and_tells(
    private_engine: PrivateEngine,
    tmp_path: Path,
    runs: bool,  # noqa: FBT001
) -> None:
    """Lines 14 and 15 became NUL bytes while the agent was away, as after a power failure (moby #29511).

    Line 16 has no line of its own in the file any more: no read can begin there, and it counts as lost.
    Podman leaves out what it cannot read without a word, and goes on: nothing in its answer tells.
    """
    path = tmp_path / "out" / "all.ndjson"
    container = private_engine.run_container(f"{TEN}; {WHEN_TOLD}; {TEN_MORE}; {'sleep 600' if runs else ''}")
    sinks = {"file": f"file://{path}?batch_age=100ms"}
    with Agent(private_engine.host, tmp_path, sinks, backlog="all") as agent:
        until(lambda: len(messages(path)) == 10, "what was there before", told=agent.said)
        agent.kill()
        _go(container)
        until(lambda: b"line 20" in container.logs(), "the rest is written")
        if not runs:
            container.wait(timeout=30)
        container.reload()
        _punch(Path(container.attrs["LogPath"]), 13, 15)
        agent.start()
        until(lambda: "line 20" in messages(path), "what is behind the hole", told=agent.said)
        if not private_engine.podman:
            until(lambda: DAMAGED.search(agent.said()) is not None, "the loss is told", told=agent.said)
        assert agent.stop() == 0
    assert messages(path) == [f"line {number}" for number in range(1, 21) if number not in {14, 15, 16}]
    if private_engine.podman:
        return
    stamps = {record["message"]: record["timestamp"] for record in records(path)}
    ((first, last),) = DAMAGED.findall(agent.said())
    assert first <= stamps["line 13"] < stamps["line 17"] <= last


def _punch(log: Path, first: int, last: int) -> None:
    """Overwrite the lines `first` to `last`, counted from 0, without the latter; the file keeps its size."""
    lines = log.read_bytes().splitlines(keepends=True)
    begin, end = (sum(map(len, lines[:row])) for row in (first, last))
    with log.open("r+b") as file:
        file.seek(begin)
        file.write(bytes(end - begin))
