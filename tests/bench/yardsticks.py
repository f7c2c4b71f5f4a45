"""What this machine can do without the agent: so that figures of different machines can be compared, as ratios."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from struct import Struct
from urllib.parse import urlencode

from tests.bench.engines import Writing
from tests.bench.lines import Lines

_FRAMES, _FRAME_BYTES, _TRIES = 50_000, 150, 7
_HEADER = Struct(">BxxxI")
_READ_BYTES = 1 << 20
_PATIENCE_S = 120.0
_ATTACH_QUERY = urlencode({"stream": 1, "stdout": 1, "stderr": 1})
_QUERY = urlencode({"stdout": 1, "stderr": 1, "timestamps": 1, "follow": 1})


@dataclass(frozen=True, slots=True)
class Drained:
    """What curl read of one stream: from the first byte to the last, seconds."""

    lines: int
    seconds: float


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


async def curl(docker_host: str, writing: Writing, lines: Lines, way: str) -> Drained:
    """Read the stream with curl, throwing it away. Raises TimeoutError.

    way  see `tests.bench.lines.WAYS`; the container is told to go when curl is connected, unless it has gone
    """
    url = f"http://engine/containers/{writing.id}/logs?{_QUERY}"
    method, left = "GET", lines.stream_bytes
    if way == "attach":
        url = f"http://engine/containers/{writing.id}/attach?{_ATTACH_QUERY}"
        method, left = "POST", lines.count * lines.size  # its frames' heads are too few to matter
    socket = docker_host.removeprefix("unix://")
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-0", "-X", method, "-N", "-D", "/dev/stderr", "--unix-socket", socket, url,
        stdout=PIPE, stderr=PIPE, limit=_READ_BYTES,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            if way != "history":
                await process.stderr.readline()  # the answer has begun
                await writing.go()
            began = 0.0
            while left > 0:
                left -= len(await process.stdout.read(_READ_BYTES))
                began = began or time.monotonic()
    finally:
        process.kill()
        await process.wait()
    return Drained(lines.count, time.monotonic() - began)
