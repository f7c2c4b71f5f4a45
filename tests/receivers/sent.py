"""What the tests send, and how it has to arrive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from agent.batch import Batch, Container, Stream
from agent.level import Level
from tests.receivers.received import Received

START_NS = 1_795_414_426_489_633_114


def container(name: str = "web") -> Container:
    """Of a project and a service, with a label that no receiver's names allow and a value to be escaped."""
    return Container(
        id=(name.encode().hex() * 64)[:64],
        name=name,
        image="nginx:1.27",
        tag=name,
        host="node-1",
        labels={"com.example.team": 'the "a" team'},
        project="shop",
        service=f"{name}-service",
    )


def batch(
    messages: Iterable[bytes] = (b"hello", b'a "quoted" \\ one', "größer €".encode(), b"", b"tab\there"),
    *,
    of: Container | None = None,
    stream: Stream = Stream.STDOUT,
    start_ns: int = START_NS,
    truncated: Iterable[int] = (),
) -> Batch:
    """One record a millisecond."""
    column = list(messages)
    return Batch(
        container=of or container(),
        stream=stream,
        timestamps=[start_ns + row * 1_000_000 for row in range(len(column))],
        messages=column,
        truncated=frozenset(truncated),
    )


def expected(batches: Sequence[Batch]) -> list[Received]:
    """The records of `batches`, made one by one and by nothing that the encoders use."""
    return [
        Received(
            message=message.decode("utf-8", errors="replace"),
            timestamp_ns=stamp,
            stream=batch.stream.value,
            container=batch.container.name,
            container_id=batch.container.id,
            image=batch.container.image,
            host=batch.container.host,
            tag=batch.container.tag,
            project=batch.container.project,
            service=batch.container.service,
            labels=batch.container.labels,
            truncated=row in batch.truncated,
            level=Level(batch.levels[row]).text if batch.levels and batch.levels[row] else None,
            fields=json.loads((batch.fields and batch.fields[row]) or b"{}"),
            id=f"{batch.container.id[:20]}{batch.stream.value[3]}{(batch.read_at or batch.timestamps)[row]}",
        )
        for batch in batches
        for row, (stamp, message) in enumerate(zip(batch.timestamps, batch.messages, strict=True))
    ]


async def forget(checkpoint: bytes) -> None:
    """A `save` for sinks that are not to be restarted."""
