"""The process stays small, whatever the sinks do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MiB = 1 << 20

#: 300,000 lines of 157 bytes; one sink takes them, one takes a request and never answers, one is down.
AGENT = """
import asyncio, sys
from pathlib import Path
from tests.spool.batches import batch, opened

async def take(reader):
    while entries := await reader.fill(records=10_000, bytes=4 << 20, age=0.2):
        for entry in entries:
            entry.batch.encoded["json"] = b"x" * (300 * len(entry.batch))
        reader.done(entries)

async def main():
    async with opened(Path(sys.argv[1]), "up", "stuck", "down", memory=16 << 20, disk=1 << 30) as spool:
        async with asyncio.TaskGroup() as sinks:
            sinks.create_task(take(spool.reader("up")))
            sinks.create_task(spool.reader("stuck").fill(records=10_000, bytes=4 << 20, age=1))
            for n in range(750):
                await spool.put([batch(n, rows=400, size=157)])
            spool.seal()
        assert spool.reader("down").lag().records == 300_000
    print(Path("/proc/self/status").read_text())

asyncio.run(main())
"""


def test_with_one_sink_stuck_and_one_down_the_process_stays_small(tmp_path: Path) -> None:
    agent = subprocess.run([sys.executable, "-c", AGENT, tmp_path], capture_output=True, check=True)
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", agent.stdout.decode(), re.MULTILINE)
    assert peak
    assert int(peak[1]) * 1024 < 160 * MiB  # getrusage() would tell of the process that forked this one, too
