"""`python -m tests.bench.sinks [NAME …]`: what a line costs each sink, at its default batch size.

CPU time of this process, user and system, all threads: encoding, compressing, sending, judging the answers. The
receiver is a stage of the contract tests in a process of its own; reading and spooling are not in it. What of it
the kernel costs whoever sends such datagrams to that receiver, `datagrams.c` measures, right afterwards.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Sink
from agent.sinks.console import ConsoleSink
from agent.sinks.delivery import batch_records, batch_weight
from agent.sinks.parcel import Parcel, cut
from agent.terminal import columns
from tests.bench.floor import Floor
from tests.bench.lines import Lines
from tests.bench.processes import python
from tests.contract.play import opened
from tests.contract.stage import stages
from tests.receivers.program import plain_environment
from tests.receivers.sent import START_NS, batch

#: One that is not measured, and the rest.
LINES, LINE_BYTES, BATCHES = 10_000, 157, 11
FLOOR = 5
MS = 1_000_000
PATIENCE_S = 120.0


def main(names: Sequence[str]) -> None:
    """Measure each of these, or all, and print a table."""
    rows = [("SINK", "CPU PER LINE", "SENDING ALONE, IN C", "LINES PER REQUEST")]
    with tempfile.TemporaryDirectory(prefix="bench") as directory:
        floor = Floor(Path(directory))
        for stage in stages():
            if not names or stage.__name__.removesuffix("Stage") in names:
                print(stage.__name__, file=sys.stderr, flush=True)
                row = asyncio.run(measure(stage.__name__, floor))
                rows.append((stage.__name__.removesuffix("Stage"), *row))
    print(*columns(rows), sep="\n")


async def measure(name: str, floor: Floor) -> tuple[str, str, str]:
    """Cost, the least it could be, and size of a request, as they are shown."""
    async with python(["-m", "tests.bench.standing", name], plain_environment()) as child:
        url: str = (await child.hear())["url"]
        async with opened(_sink(url)) as sink, asyncio.timeout(PATIENCE_S):
            used, requests = 0.0, 0
            for number in range(BATCHES):
                parcels = _parcels(sink, number)
                gc.collect()
                began = time.process_time()
                for parcel in parcels:
                    await _deliver(sink, parcel)
                if number:
                    used += time.process_time() - began
                    requests += len(parcels)
            least = await floor.us(sink, [each for number in range(FLOOR) for each in _parcels(sink, number)])
    lines = LINES * (BATCHES - 1)
    return (
        f"{used / lines * 1e6:.2f} µs",
        "" if least is None else f"{least:.2f} µs",
        f"{lines / requests:,.0f}",
    )


def _sink(url: str) -> Sink[Any]:
    sink = parse_sink("bench", url)
    if isinstance(sink, ConsoleSink):
        return ConsoleSink(sink.target, sink.options, fd=os.open(os.devnull, os.O_WRONLY))
    return sink


def _parcels(sink: Sink[Any], number: int) -> list[Parcel]:
    """`LINES` lines as the runner would cut them; new ones, as nothing may be kept from the last time."""
    lines = Lines(LINES * BATCHES, LINE_BYTES + 1)
    first = 1 + number * LINES
    messages = [lines.line(each) for each in range(first, first + LINES)]
    numbered = [(1, batch(messages, start_ns=START_NS + number * LINES * MS))]
    return list(cut(numbered, records=batch_records(sink), weight=batch_weight(sink)))


async def _deliver(sink: Sink[Any], parcel: Parcel) -> None:
    outcome = await sink.deliver(parcel.batches)
    if outcome != Delivered():
        raise RuntimeError(f"{sink.target.scheme}: {str(outcome)[:500]}")


if __name__ == "__main__":
    main(sys.argv[1:])
