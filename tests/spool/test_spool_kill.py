"""`kill -9` at any instant: what was committed is there, once, and the cursors agree with it."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.spool.batches import drained, opened

#: Puts batches one after the other from where the cursor says, while two sinks take and one does not.
AGENT = """
import asyncio, os, sys
from pathlib import Path
from tests.spool.batches import batch, number, opened

async def take(reader, log):
    while entries := await reader.fill(records=30, bytes=1 << 20, age=0.01):
        for entry in entries:
            os.write(1, b"%b %06d %06d\\n" % (log.encode(), entry.seq, number(entry.batch)))
        reader.done(entries)

async def main():
    async with opened(Path(sys.argv[1]), "a", "b", "c", memory=1 << 18) as spool, asyncio.TaskGroup() as sinks:
        for name in "ab":
            sinks.create_task(take(spool.reader(name), name))
        n = int(spool.cursors.get("all", b"-1"))
        while True:
            n += 1
            await spool.put([batch(n, rows=1 + n % 7, size=100)], {"all": b"%d" % n})
            if n % 20 == 0:
                await asyncio.sleep(0.004)

asyncio.run(main())
"""


@pytest.mark.chaos
def test_killed_at_any_instant_it_goes_on_where_it_was(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    output = tmp_path / "output"
    state = tmp_path / "state"
    for _ in range(6):
        with output.open("ab") as log:
            agent = subprocess.Popen([sys.executable, "-c", AGENT, state], stdout=log)
            before = output.stat().st_size
            appears(output, before)
            time.sleep(chance.uniform(0, 0.3))
            agent.kill()
            agent.wait()
    # Lines of 16 bytes never lie across two pages, where a kill could cut them.
    lines = [line.split() for line in output.read_bytes().splitlines()]
    assert {len(line) for line in lines} == {3}
    asyncio.run(check(state, lines))


async def check(state: Path, lines: list[list[bytes]]) -> None:
    """What is there is what the cursor says, and with what each sink was given it is everything."""
    async with opened(state, "a", "b", "c") as spool:
        last = int(spool.cursors["all"])
        spool.seal()
        everything = await drained(spool.reader("c"))
        assert everything == list(range(last + 1))
        for name in "ab":
            given = [int(line[2]) for line in lines if line[0] == name.encode()]
            seqs = {int(line[1]): int(line[2]) for line in lines if line[0] == name.encode()}
            assert all(seqs[int(line[1])] == int(line[2]) for line in lines if line[0] == name.encode())
            rest = await drained(spool.reader(name))
            assert set(given) | set(rest) == set(range(last + 1))
            assert rest == list(range(last + 1))[len(everything) - len(rest) :]


def appears(path: Path, size: int) -> None:
    """Wait until the file is longer than that."""
    end = time.monotonic() + 20
    while path.stat().st_size <= size:
        assert time.monotonic() < end, "the agent has taken nothing"
        time.sleep(0.01)
