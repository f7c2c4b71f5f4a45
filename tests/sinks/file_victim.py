"""A process to be killed: it plays the runner's part for a file sink, with its position in a file."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
from pathlib import Path

from tests.sinks.files import batch, deliver, sink

ENTRIES = 400
LINES = 40


async def main(directory: Path) -> None:
    """Deliver entry after entry, and tell of each."""
    saved = directory / "position"
    position, checkpoint = 0, None
    if saved.exists():
        position, text = json.loads(saved.read_text())
        checkpoint = base64.b64decode(text)
    chance = random.Random(position)

    async def save(data: bytes) -> None:
        part = saved.with_suffix(".new")
        part.write_text(json.dumps([position, base64.b64encode(data).decode()]))
        part.rename(saved)

    made = sink(f"{directory}/logs/{{{{.Name}}}}.ndjson", rotate_bytes=150_000, keep=1000, compress="gzip")
    await made.open(checkpoint, save)
    while position < ENTRIES:
        first = position * LINES
        numbers = [str(number) for number in range(first, first + LINES)]
        await deliver(made, *(batch(name, *numbers) for name in ("web", "db", "cron")))
        position += 1
        if chance.random() < 0.3:
            await save(made.checkpoint() or b"")
        print(position, flush=True)  # noqa: T201 - how the test knows when to kill
    await made.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
