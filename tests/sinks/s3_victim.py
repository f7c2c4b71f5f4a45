"""A process to be killed: spool, runner and an S3 sink, as the agent has them, and a source with a cursor."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from agent.batch import Batch
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import MiB
from agent.sinks import parse_sink
from agent.sinks.deadletter import DeadLetters
from agent.sinks.runner import Runner
from agent.spool import Spool, SpoolConfig, Subscriber
from tests.receivers.sent import START_NS, batch, container

ENTRIES = 70
CURSOR = "source"


def entries() -> list[Batch]:
    """What the source has, the same in every life: some are more than one request may hold."""
    chance = random.Random(7)
    made, row = [], 0
    for number in range(ENTRIES):
        size = chance.choice([1, 2, 3, 20, 120])
        messages = [b"%d" % (row + place) for place in range(size)]
        made.append(batch(messages, of=container(f"c{number % 3}"), start_ns=START_NS + row * 1_000_000))
        row += size
    return made


async def main(directory: Path, url: str) -> None:
    """Read on where the cursor is, and deliver until all is delivered."""
    sink, metrics = parse_sink("it", url), Metrics()
    losses = Losses(metrics)
    config = SpoolConfig(directory, 16 * MiB, 64 * MiB)
    async with (
        Spool.open(config, [Subscriber("it", "block")], metrics=metrics, losses=losses) as spool,
        asyncio.TaskGroup() as group,
    ):
        runner = Runner(
            sink,
            spool.reader("it"),
            metrics=metrics,
            losses=losses,
            dead_letters=DeadLetters(directory / "dead-letter", "it"),
        )
        group.create_task(runner.run())
        read = int(spool.cursors.get(CURSOR, b"0"))
        for number, each in enumerate(entries()[read:], start=read + 1):
            await spool.put([each], {CURSOR: b"%d" % number})
            await asyncio.sleep(0.03)
        spool.seal()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
