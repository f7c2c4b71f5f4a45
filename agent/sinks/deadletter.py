"""Dead letters sent again, and counted: what `dockferry spool` does with them.

A replay first takes the files away under names of their own, so that the agent may go on adding. What has
been dealt with is struck out in place, by the one byte that begins its line; a file is removed when nothing
is left in it. So a replay that is cut off, even by a kill, goes on where it was the next time: nothing is
lost, and at most one request's records are repeated.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from agent.batch import RECORD_OVERHEAD_BYTES, Batch
from agent.errors import SinkError
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import show_duration
from agent.sinks.base import Misconfigured, Retry, Sink
from agent.sinks.delivery import Delivery, batch_records, batch_weight
from agent.sinks.health import Health
from agent.sinks.letterbox import (
    DEFAULT_MAX_BYTES,
    STRUCK,
    DeadLetters,
    Letter,
    letters,
    locked,
    older,
)
from agent.sinks.pace import Pace
from agent.sinks.parcel import cut
from agent.sinks.refusals import Refusals

__all__ = ["DeadLetterBacklog", "DeadLetters", "ReplayResult", "inspect", "replay"]

_SUFFIX = ".ndjson"
_REPLAY = ".replay-"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of the records. `damaged`: lines that cannot be read, left where they are."""

    delivered: int = 0
    refused: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetterBacklog:
    """The dead letters of one sink; `bytes` on disk."""

    sink: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Letters that are sent together, and where in the file their lines begin."""

    letters: Sequence[Letter]
    starts: Sequence[int]
    damaged: int


def inspect(directory: Path) -> list[DeadLetterBacklog]:
    """The dead letters in their directory, by sink name. Reads them all. Raises OSError."""
    found: dict[str, DeadLetterBacklog] = {}
    for path in sorted(directory.glob(f"*{_SUFFIX}*")):
        sink = path.name.partition(_SUFFIX)[0]
        was = found.get(sink, DeadLetterBacklog(sink, 0, 0))
        sizes = [end - start for start, end, _ in letters(path)]
        found[sink] = replace(was, records=was.records + len(sizes), bytes=was.bytes + sum(sizes))
    return [backlog for backlog in found.values() if backlog.records]


async def replay(
    sink: Sink[Any],
    directory: Path,
    *,
    progress: Callable[[ReplayResult], None] | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    pace: Pace | None = None,
) -> ReplayResult:
    """Deliver the sink's dead letters in `directory`, that of all dead letters, oldest first.

    What is delivered is removed; what is refused again stays, with the new reason. `progress` is told the
    result so far after each request. It waits for the receiver like the agent does, and may be cancelled at
    any time. Raises SinkError when the sink does not open, its receiver does not answer the probe or another
    replay of the sink is under way, and OSError.
    """
    box = DeadLetters(directory, sink.target.name, max_bytes=max_bytes)
    if box.path is None or not any(box.path.parent.glob(f"{box.path.name}*")):
        return ReplayResult()
    await sink.open(None, _unsaved)
    try:
        await _check(sink)
        delivery = _delivery(sink, box, pace or Pace())
        result = ReplayResult()
        for path in await asyncio.to_thread(_take_away, box.path):
            with _alone(path, sink.target.name):
                result = await _send(delivery, sink, path, result, progress or _silent)
        return result
    finally:
        await sink.close()


async def _unsaved(_: bytes) -> None:
    """A replay has no position, and no checkpoint to go with it."""


def _silent(_: ReplayResult) -> None:
    """Nobody is watching."""


async def _check(sink: Sink[Any]) -> None:
    seconds: float = sink.options.timeout
    try:
        async with asyncio.timeout(seconds):
            outcome = await sink.probe()
    except TimeoutError:
        outcome = Retry(f"no answer within {show_duration(seconds)}")
    if isinstance(outcome, Misconfigured | Retry):
        raise SinkError(f"sink {sink.target.name} takes no records now: {outcome.why}")


def _delivery(sink: Sink[Any], box: DeadLetters, pace: Pace) -> Delivery:
    metrics = Metrics()
    health = Health(sink.target.name, metrics.sink_up.labels(sink.target.name), pace.now)
    refusals = Refusals(box, health, metrics=metrics, losses=Losses(metrics), pace=pace)
    return Delivery(
        sink, metrics=metrics, health=health, refusals=refusals, settled=lambda _: None, pace=pace
    )


async def _send(
    delivery: Delivery,
    sink: Sink[Any],
    path: Path,
    result: ReplayResult,
    progress: Callable[[ReplayResult], None],
) -> ReplayResult:
    damaged = 0
    for chunk in _chunks(path, batch_records(sink), batch_weight(sink)):
        for parcel in cut(
            enumerate(_batches(chunk.letters)), records=batch_records(sink), weight=delivery.weight
        ):
            refused = await delivery.deliver(parcel)
            result = replace(
                result,
                delivered=result.delivered + len(parcel) - refused,
                refused=result.refused + refused,
            )
            progress(result)
        await asyncio.to_thread(_strike, path, chunk.starts)
        damaged += chunk.damaged
    if not damaged:
        await asyncio.to_thread(path.unlink)
    return replace(result, damaged=result.damaged + damaged)


def _take_away(path: Path) -> list[Path]:
    """The files to replay, oldest first: what an earlier replay left, then what is there now."""
    with locked(path.parent):
        taken = sorted(path.parent.glob(f"{path.name}{_REPLAY}*"), key=_number)
        number = _number(taken[-1]) if taken else 0
        for source in (older(path), path):
            if source.exists():
                number += 1
                taken.append(source.replace(path.with_name(f"{path.name}{_REPLAY}{number}")))
        return taken


def _number(path: Path) -> int:
    return int(path.name.rpartition(_REPLAY)[2])


@contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Hold a file that is replayed. Raises SinkError when another replay holds it or has just ended it."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            raise SinkError(f"another replay of sink {name} is under way: wait until it ends") from None
        yield


def _chunks(path: Path, records: int, weight: int) -> Iterator[_Chunk]:
    taken: list[Letter] = []
    starts: list[int] = []
    room, damaged = weight, 0
    for start, _, letter in letters(path):
        if letter is None:
            damaged += 1
            continue
        taken.append(letter)
        starts.append(start)
        room -= len(letter.message) + len(letter.fields or b"") + RECORD_OVERHEAD_BYTES
        if room <= 0 or len(taken) == records:
            yield _Chunk(taken, starts, damaged)
            taken, starts, room, damaged = [], [], weight, 0
    if taken or damaged:
        yield _Chunk(taken, starts, damaged)


def _batches(found: Sequence[Letter]) -> Iterator[Batch]:
    for (container, stream), group in groupby(found, key=lambda letter: (letter.container, letter.stream)):
        same = list(group)
        ordinals = [letter.ordinal for letter in same]
        levels = bytes(letter.level for letter in same)
        fields = [letter.fields for letter in same]
        own_times = any(letter.read_at is not None for letter in same)
        yield Batch(
            container=container,
            stream=stream,
            timestamps=[letter.timestamp for letter in same],
            messages=[letter.message for letter in same],
            ordinals=ordinals if any(ordinals) else None,
            truncated=frozenset(row for row, letter in enumerate(same) if letter.truncated),
            levels=levels if any(levels) else None,
            fields=fields if any(fields) else None,
            read_at=[letter.timestamp if letter.read_at is None else letter.read_at for letter in same]
            if own_times
            else None,
        )


def _strike(path: Path, starts: Sequence[int]) -> None:
    with path.open("r+b") as file:
        for start in starts:
            os.pwrite(file.fileno(), STRUCK, start)
        os.fsync(file.fileno())
