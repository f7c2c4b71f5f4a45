"""Batches and spools as the tests of this room make them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from agent.batch import Batch, Container, Stream
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import MiB
from agent.spool import Reader, Spool, SpoolConfig, Subscriber

START_NS = 1_700_000_000_000_000_000


def container(name: str = "web", sinks: Sequence[str] | None = None) -> Container:
    return Container(name.ljust(64, "0"), name, "image", name, "host", sinks=sinks)


WEB = container()


def batch(number: int, *, rows: int = 3, size: int = 12, who: Container = WEB) -> Batch:
    """A batch that can be told from every other by its messages, each `size` bytes or a little more."""
    stamps = [START_NS + number * 1_000_000 + row for row in range(rows)]
    messages = [b"%d.%d " % (number, row) for row in range(rows)]
    return Batch(who, Stream.STDOUT, stamps, [message.ljust(size, b"x") for message in messages])


def number(made: Batch) -> int:
    """Which one it was."""
    return int(made.messages[0].split(b".")[0])


def opened(
    directory: Path | None,
    *names: str,
    on_full: str = "drop_oldest",
    memory: int = 8 * MiB,
    disk: int = 64 * MiB,
    metrics: Metrics | None = None,
) -> AbstractAsyncContextManager[Spool]:
    metrics = metrics or Metrics()
    return Spool.open(
        SpoolConfig(directory, memory, disk),
        [Subscriber(name, on_full) for name in names],
        metrics=metrics,
        losses=Losses(metrics),
    )


async def drained(reader: Reader) -> list[int]:
    """The numbers of all that is left for a sealed reader; each done."""
    numbers: list[int] = []
    while entries := await reader.fill(records=50, bytes=1 << 20, age=0):
        numbers += [number(entry.batch) for entry in entries]
        reader.done(entries)
    return numbers


def lost(metrics: Metrics, cause: str) -> dict[tuple[str, str], int]:
    """Records counted as lost for this cause, by container and sink."""
    found: dict[tuple[str, str], int] = {}
    for family in metrics.lost_records.collect():
        for sample in family.samples:
            labels = sample.labels
            if sample.name.endswith("_total") and labels["cause"] == cause:
                found[labels["container"], labels["sink"]] = int(sample.value)
    return found
