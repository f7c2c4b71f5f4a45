"""The processes of the benchmark, and what the kernel knows of them: CPU time, memory.

Source: clock_getcpuclockid(3), whose clocks run in nanoseconds; proc(5), /proc/pid/stat, status and smaps_rollup.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
END_S = 15.0
_LOOK_EVERY_S = 0.2
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(stat: str) -> float:
    """User and system time, from the text of /proc/pid/stat. The name in it may hold blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_bytes(text: str, name: str) -> int:
    """`VmRSS` or `VmHWM` (the highest RSS so far) of /proc/pid/status, `Pss` or `Pss_Anon` of smaps_rollup."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.removesuffix("kB")) * 1024
    raise ValueError(f"no {name}: the process has ended")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: resident; its share of pages (PSS); of these what no file backs, that is, what it holds itself."""

    rss: int
    pss: int
    anonymous: int

    def most(self, other: Memory) -> Memory:
        """The greater of each."""
        return Memory(
            max(self.rss, other.rss), max(self.pss, other.pss), max(self.anonymous, other.anonymous)
        )


class Child:
    """A process of ours. Python ones of the benchmark answer in lines of JSON."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def cpu_s(self) -> float:
        """CPU time it has used, all its threads, user and system."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    @property
    def memory(self) -> Memory:
        """What it has now."""
        rollup = self._about("smaps_rollup")
        return Memory(*(memory_bytes(rollup, name) for name in ("Rss", "Pss", "Pss_Anon")))

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[list[Memory]]:
        """Look at its memory while this lasts: one item, the most of each. RSS is the kernel's own maximum."""
        most = [self.memory]

        async def watch() -> None:
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                most[0] = most[0].most(self.memory)

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(), name="memory")
            yield most
            watching.cancel()
        highest = memory_bytes(self._about("status"), "VmHWM")
        most[0] = most[0].most(Memory(highest, 0, 0))

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


def python(
    arguments: Sequence[str], environ: Mapping[str, str]
) -> contextlib.AbstractAsyncContextManager[Child]:
    """Run `python` with these arguments, and nothing else in its environment; leaving ends it."""
    return program([sys.executable, *arguments], environ, talks=True)


@contextlib.asynccontextmanager
async def program(
    command: Sequence[str | Path], environ: Mapping[str, str], *, talks: bool = False
) -> AsyncIterator[Child]:
    """Run a program with this environment; leaving ends it. What it prints is dropped, unless it `talks` to us."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environ, stdin=PIPE if talks else DEVNULL, stdout=PIPE if talks else DEVNULL
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
