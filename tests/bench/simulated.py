"""The simulated Engine, in a process of its own.

    python -m tests.bench.simulated SOCKET

Says that it listens. Asked {"create": name, "count": …} it starts so many containers, `name-0` and on, and says
their ids; {"go": name, "count": …, "size": …, "first": …} has them share these lines; {"pace": …, "per_second": …}
has them write those in turns, with the time in each. It answers when that is done.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

import orjson

from agent.simulator import Container, SimulatedEngine
from tests.bench.lines import Lines
from tests.bench.pacing import PAUSE_S, Pace

_AT_ONCE = 1000


async def main(socket_path: str) -> None:
    """Serve until stdin ends."""
    crews: dict[str, list[Container]] = {}
    async with SimulatedEngine(socket_path) as engine:
        _say("listening")
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            asked = orjson.loads(line)
            if "create" in asked:
                name = asked["create"]
                crews[name] = [engine.create(f"{name}-{number}") for number in range(asked["count"])]
                for container in crews[name]:
                    container.start()
                _say([container.id for container in crews[name]])
            else:
                await _write(crews, asked)
                _say("done")


async def _write(crews: dict[str, list[Container]], asked: dict[str, Any]) -> None:
    lines = Lines(asked["count"], asked["size"], asked["first"])
    if "pace" in asked:
        await _pace(crews[asked["pace"]], Pace(lines, asked["per_second"]))
    else:
        crew = crews[asked["go"]]
        for container, share in zip(crew, lines.shared(len(crew)), strict=True):
            for first in range(share.first, share.last + 1, _AT_ONCE):
                numbers = range(first, min(first + _AT_ONCE, share.last + 1))
                container.write_many([share.line(number) for number in numbers])
                await asyncio.sleep(0)


async def _pace(crew: Sequence[Container], pace: Pace) -> None:
    began_s, written = time.monotonic(), 0
    while written < pace.lines.count:
        numbers = pace.due(written, time.monotonic() - began_s)
        for place, data in pace.parcels(numbers, len(crew), time.time_ns()):
            crew[place].write(data)
        written += len(numbers)
        await asyncio.sleep(PAUSE_S if pace.per_second else 0)


def _say(what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
