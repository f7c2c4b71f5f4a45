"""The processes of the benchmark, and what the kernel knows of them: CPU time, memory.

Source: proc(5), /proc/pid/stat and /proc/pid/status.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
END_S = 15.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(stat: str) -> float:
    """User and system time, from the text of /proc/pid/stat. The name in it may hold blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_bytes(status: str, name: str) -> int:
    """`VmRSS` or `VmHWM` (the highest RSS so far), from the text of /proc/pid/status."""
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.removesuffix("kB")) * 1024
    raise ValueError(f"no {name}: the process has ended")


class Child:
    """A Python process of ours. Those of the benchmark answer in lines of JSON."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def cpu_s(self) -> float:
        """CPU time it has used."""
        return cpu_seconds(self._about("stat"))

    @property
    def rss_bytes(self) -> int:
        """Memory it has now."""
        return memory_bytes(self._about("status"), "VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most memory it ever had."""
        return memory_bytes(self._about("status"), "VmHWM")

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def ask(self, question: Any) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Say one thing, and hear one."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(question) + b"\n")
        await self._process.stdin.drain()
        return await self.hear()

    async def hear(self) -> Any:  # noqa: ANN401 - whatever JSON it is
        """The next thing it says. Raises EOFError when it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise EOFError("a process of the benchmark has ended early; see above")
        return orjson.loads(line)

    def _about(self, file: str) -> str:
        return Path(f"/proc/{self._process.pid}/{file}").read_text()


@contextlib.asynccontextmanager
async def python(arguments: Sequence[str], environ: Mapping[str, str]) -> AsyncIterator[Child]:
    """Run `python` with these arguments, and nothing else in its environment; leaving ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=environ, stdin=PIPE, stdout=PIPE
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
