"""What this machine is and can do without the agent: so that figures of different machines can be compared."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from struct import Struct

_FRAMES, _FRAME_BYTES, _TRIES = 50_000, 150, 7
_HEADER = Struct(">BxxxI")
_LOOK_S, _QUIET = 1.0, 0.1


def machine(engine: str) -> str:
    """In a line: its processor, cores and memory, the Python, the Engine."""
    about = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(": ")[2] for line in about.splitlines() if line.startswith("model name")), ""
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{len(os.sched_getaffinity(0))} cores of {model or platform.machine()}, {memory_gib:.0f} GiB"
    return (
        f"{engine}, Python {platform.python_version()}, {cores}, Linux {platform.release().partition('-')[0]}"
    )


def busy(before: str, after: str) -> float:
    """The share of all cores' time that was used between two readings of /proc/stat (proc(5)), 0 … 1."""
    early, late = ([int(field) for field in text.split("\n", 1)[0].split()[1:9]] for text in (before, after))
    passed = [end - start for start, end in zip(early, late, strict=True)]
    idle = passed[3] + passed[4]  # waiting for a disk is idle, too
    return 1 - idle / max(sum(passed), 1)


def others() -> str:
    """What to say when other programs use more than a tenth of this machine's cores now; empty: they do not."""
    stat = Path("/proc/stat")
    before = stat.read_text()
    time.sleep(_LOOK_S)  # what is measured
    share = busy(before, stat.read_text())
    return f"this machine is busy: others use {share:.0%} of its cores" if share > _QUIET else ""


def demultiplexing_us() -> float:
    """The least that Python needs to cut a frame of 150 bytes out of a stream, in µs."""
    data = (_HEADER.pack(1, _FRAME_BYTES - _HEADER.size) + bytes(_FRAME_BYTES - _HEADER.size)) * _FRAMES
    return min(_demultiplex(data) for _ in range(_TRIES)) / _FRAMES * 1e6


def _demultiplex(data: bytes) -> float:
    payloads: list[bytes] = []
    unpack, add, start, size = _HEADER.unpack_from, payloads.append, 0, len(data)
    began = time.perf_counter()
    while start < size:
        _, length = unpack(data, start)
        start += 8
        add(data[start : start + length])
        start += length
    return time.perf_counter() - began
