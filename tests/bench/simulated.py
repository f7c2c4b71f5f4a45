"""The simulated Engine, in a process of its own.

    python -m tests.bench.simulated SOCKET

Says that it listens. Asked {"create": name} it starts a container and says its id; {"write": name, "count": …,
"size": …} has it write its lines; {"idle": …} starts so many that write nothing.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson

from agent.simulator import SimulatedEngine
from tests.bench.lines import Lines

_AT_ONCE = 1000


async def main(socket_path: str) -> None:
    """Serve until stdin ends."""
    async with SimulatedEngine(socket_path) as engine:
        _say("listening")
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            _say(await _act(engine, orjson.loads(line)))


async def _act(engine: SimulatedEngine, asked: dict[str, Any]) -> object:
    if "idle" in asked:
        for number in range(asked["idle"]):
            engine.create(f"idle-{number}").start()
    elif "create" in asked:
        container = engine.create(asked["create"])
        container.start()
        return container.id
    else:
        lines = Lines(asked["count"], asked["size"])
        container = engine.find(asked["write"])
        for first in range(1, lines.count + 1, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, lines.count + 1))
            container.write_many([lines.line(number) for number in numbers])
            await asyncio.sleep(0)
    return "done"


def _say(what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
