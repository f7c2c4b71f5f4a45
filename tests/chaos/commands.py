"""The commands as a person types them: a process of its own, its output and its exit status."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.shipping import TRACEBACK

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


async def run(*arguments: str, **environ: str) -> Ended:
    """`dockferry` with these variables and nothing else of the environment. Fails when it prints a traceback."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *arguments,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    ended = Ended(process.returncode, out.decode(), err.decode())
    assert TRACEBACK not in ended.out + ended.err, ended
    return ended
