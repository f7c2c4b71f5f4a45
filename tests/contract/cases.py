"""What the sinks are given to deliver, and what of it has to arrive."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Coroutine, Sequence
from typing import Any

from agent.batch import Batch, Stream
from agent.level import Level
from agent.sinks.base import Outcome
from tests.contract.stage import Stage
from tests.receivers.received import Received
from tests.receivers.sent import START_NS, batch, container, expected


def several() -> list[Batch]:
    """Two containers, both streams, an empty line, one that was cut and one that is not UTF-8."""
    return [
        batch(),
        batch([b"cut here", b"not \xff\xfe utf-8 \xe2\x82"], stream=Stream.STDERR, truncated=[0]),
        batch([b"of another"], of=container("db")),
    ]


def parsed() -> list[Batch]:
    """Every level and none, fields of each kind and none, times of a record's own that are in no order."""
    fields = {
        "status": 500,
        "took": 0.25,
        "ok": True,
        "who": 'a "quoted" \\ größer €\nline',
        "http": {"path": "/orders/1", "request": {"size": -7}},
    }
    rows = len(Level) + 1
    every = batch([b"row %d" % row for row in range(rows)], truncated=[1])
    every.levels = bytes(range(rows))
    every.fields = [json.dumps(fields).encode(), *[None] * (rows - 2), b'{"last":"one"}']
    own = batch([b"of its own time", b"and before it"], stream=Stream.STDERR)
    own.read_at = own.timestamps
    own.timestamps = [own.timestamps[0] - 1_000_000_000, own.timestamps[0] - 60_000_000_000]
    own.fields = [b'{"status":404}', b'{"status":200}']
    levels = batch([b"of another", b"and one more"], of=container("db"), stream=Stream.STDERR)
    levels.levels = bytes([Level.ERROR, Level.INFO])
    return [every, own, levels, batch([b"as ever"], start_ns=START_NS + 1_000_000_000)]


def noise(count: int, size: int) -> list[bytes]:
    """Messages of `size` printable bytes that no compression makes much smaller; the same ones each time."""
    chance = random.Random(count)
    return [base64.b85encode(chance.randbytes(size * 4 // 5)) for _ in range(count)]


def many(count: int, *, size: int = 200, each: int = 250) -> list[Batch]:
    """`count` records of noise, from two containers and both streams by turns, `each` to a batch."""
    messages, turns = (
        noise(count, size),
        [("web", Stream.STDOUT), ("web", Stream.STDERR), ("db", Stream.STDOUT)],
    )
    made = []
    for number, start in enumerate(range(0, count, each)):
        name, stream = turns[number % len(turns)]
        start_ns = 1_795_414_426_000_000_000 + start * 1_000_000
        made.append(
            batch(messages[start : start + each], of=container(name), stream=stream, start_ns=start_ns)
        )
    return made


def to_arrive(stage: Stage, batches: Sequence[Batch]) -> list[Received]:
    """The records of `batches` as the stage's destination keeps them; those it has no place for are left out."""
    kept = map(stage.kept, expected(batches))
    return [record for record in kept if record is not None]


def in_order(arrived: Sequence[Received], sent: Sequence[Batch]) -> bool:
    """Whether each container's stream came in order: by messages, which have to be unique."""
    place = {record.message: number for number, record in enumerate(arrived)}
    columns: dict[tuple[str, Stream], list[int]] = {}
    for each in sent:
        column = columns.setdefault((each.container.name, each.stream), [])
        column += [place[message.decode()] for message in each.messages]
    return all(column == sorted(column) for column in columns.values())


async def cancelled_after(turns: int, deliver: Coroutine[Any, Any, Outcome]) -> None:
    """Cancel `deliver` after that many turns of the loop, wherever it is then."""
    async with asyncio.TaskGroup() as group:
        under_way = group.create_task(deliver)
        for _ in range(turns):
            await asyncio.sleep(0)
        under_way.cancel()
