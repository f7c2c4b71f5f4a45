"""`python -m tests.bench.standing NAME`: the receiver of a contract stage, in a process of its own.

It says its sink's URL in a line of JSON, and stands until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import orjson

from tests.contract.stage import Shared, stages


async def main(name: str) -> None:
    """Stand until nobody listens any more."""
    [made] = [stage for stage in stages() if stage.__name__ == name]
    with tempfile.TemporaryDirectory(prefix="bench") as directory, ExitStack() as stack:
        stage = made(Path(directory), Shared(Path(directory), stack), None)
        async with stage.standing():
            sys.stdout.buffer.write(orjson.dumps({"url": stage.url}) + b"\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
