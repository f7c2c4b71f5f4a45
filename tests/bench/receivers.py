"""The receivers, in a process of their own: TCP, Loki, and a reader of the file. They count, and no more.

    python -m tests.bench.receivers DIRECTORY LINES

Says the sinks' URLs. Asked {"sinks": […], "patience_s": …}, it says how each of these fared: when all have that
many distinct lines, or the patience is over.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cramjam
import orjson
from aiohttp import web

from tests.bench.lines import NUMBER

LOOK_EVERY_S = 0.02
_BUFFER_BYTES = 1 << 20


class Count:
    """What one sink delivered: all lines, distinct ones, and when (monotonic seconds)."""

    def __init__(self, wanted: int) -> None:
        self.lines = 0
        self.first_s = self.last_s = 0.0
        self.complete = asyncio.Event()
        self._numbers: set[bytes] = set()
        self._wanted = wanted

    def add(self, data: bytes) -> None:
        """Whole records of any format."""
        numbers = NUMBER.findall(data)
        if numbers:
            self.last_s = time.monotonic()
            self.first_s = self.first_s or self.last_s
            self.lines += len(numbers)
            self._numbers.update(numbers)
            if len(self._numbers) >= self._wanted:
                self.complete.set()

    def told(self) -> dict[str, float]:
        return {
            "lines": self.lines,
            "distinct": len(self._numbers),
            "first_s": self.first_s,
            "last_s": self.last_s,
        }


class Tail:
    """Cuts what comes into whole lines."""

    def __init__(self, add: Callable[[bytes], None]) -> None:
        self._add = add
        self._rest = b""

    def feed(self, data: bytes) -> None:
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            self._add(self._rest + whole)
            self._rest = rest
        else:
            self._rest += rest


class TcpReceiver(asyncio.BufferedProtocol):
    """Takes lines."""

    def __init__(self, count: Count) -> None:
        self._lines = Tail(count.add)
        self._buffer = bytearray(_BUFFER_BYTES)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._lines.feed(bytes(memoryview(self._buffer)[:nbytes]))


def loki(count: Count) -> web.Application:
    """Takes pushes."""

    async def push(request: web.Request) -> web.Response:
        count.add(bytes(cramjam.snappy.decompress_raw(await request.read())))
        return web.Response(status=204)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/loki/api/v1/push", push)
    return app


async def read_file(path: Path, count: Count) -> None:
    """Read what is appended, from the file's appearance on."""
    lines = Tail(count.add)
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - a file system tells nobody without inotify
        await asyncio.sleep(LOOK_EVERY_S)
    with path.open("rb", buffering=0) as file:
        while True:
            if data := file.read(_BUFFER_BYTES):
                lines.feed(data)
            await asyncio.sleep(0 if data else LOOK_EVERY_S)


async def main(directory: Path, wanted: int) -> None:
    """Serve until stdin ends."""
    counts = {name: Count(wanted) for name in ("tcp", "loki", "file")}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: TcpReceiver(counts["tcp"]), "127.0.0.1", 0)
    runner = web.AppRunner(loki(counts["loki"]), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = directory / "bench.ndjson"
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_file(path, counts["file"]), name="file")
        _say(
            {
                "tcp": f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}",
                "loki": f"loki+http://127.0.0.1:{runner.addresses[0][1]}",
                "file": f"file://{path}",
            }
        )
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            _say(await _answer(counts, orjson.loads(line)))
        reading.cancel()
    server.close()
    await runner.cleanup()


async def _answer(
    counts: dict[str, Count], asked: dict[str, list[str] | float]
) -> dict[str, dict[str, float]]:
    """How the sinks named fare, when they are complete or the patience is at its end."""
    names, patience_s = asked["sinks"], asked["patience_s"]
    assert isinstance(names, list)
    assert isinstance(patience_s, float | int)
    try:
        async with asyncio.timeout(patience_s):
            for name in names:
                await counts[name].complete.wait()
    except TimeoutError:
        pass
    return {name: counts[name].told() for name in names}


def _say(what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
