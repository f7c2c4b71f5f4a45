"""The receivers, in a process of their own: of lines, of requests, and a reader of the file. They count, and no more.

    python -m tests.bench.receivers DIRECTORY LINES STAMPED

Says the sinks' URLs. Asked {"sinks": […], "patience_s": …}, it says how each of these fared: when all have that
many distinct lines, or the patience is over. With STAMPED `yes` it tells how long those of `tcp` were under way.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import cramjam
import orjson
from aiohttp import web

from tests.bench.latency import Latencies, Latency
from tests.bench.lines import NUMBER

SINKS = ("tcp", "loki", "file", "http", "otlp", "gelf")
LOOK_EVERY_S = 0.02
_BUFFER_BYTES = 1 << 20


class Count:
    """What one sink delivered: all lines, distinct ones, and when (monotonic seconds)."""

    def __init__(self, wanted: int, *, stamped: bool = False) -> None:
        self._latencies = Latencies() if stamped else None
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
            if self._latencies:
                self._latencies.add(data, time.time_ns())

    def told(self) -> dict[str, float | Latency | None]:
        return {
            "latency": self._latencies.found if self._latencies else None,
            "lines": self.lines,
            "distinct": len(self._numbers),
            "first_s": self.first_s,
            "last_s": self.last_s,
        }


class Tail:
    """Cuts what comes into whole lines, or what else ends with `end`."""

    def __init__(self, add: Callable[[bytes], None], end: bytes = b"\n") -> None:
        self._add = add
        self._end = end
        self._rest = b""

    def feed(self, data: bytes) -> None:
        whole, end, rest = data.rpartition(self._end)
        if end:
            self._add(self._rest + whole)
            self._rest = rest
        else:
            self._rest += rest


class LinesReceiver(asyncio.BufferedProtocol):
    """Takes lines, or what else ends with `end`."""

    def __init__(self, count: Count, end: bytes = b"\n") -> None:
        self._lines = Tail(count.add, end)
        self._buffer = bytearray(_BUFFER_BYTES)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._lines.feed(bytes(memoryview(self._buffer)[:nbytes]))


def requests(counts: Mapping[str, Count]) -> web.Application:
    """Takes pushes of Loki, in protobuf or JSON, and bodies of whole records: lines of JSON, OpenTelemetry's."""

    async def loki(request: web.Request) -> web.Response:
        body = await request.read()
        json = request.content_type == "application/json"
        counts["loki"].add(body if json else bytes(cramjam.snappy.decompress_raw(body)))
        return web.Response(status=204)

    def take(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def taking(request: web.Request) -> web.Response:
            counts[name].add(await request.read())
            return web.Response(content_type=request.content_type)

        return taking

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/loki/api/v1/push", loki)
    app.router.add_post("/lines", take("http"))
    app.router.add_post("/v1/logs", take("otlp"))
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


async def main(directory: Path, wanted: int, *, stamped: bool) -> None:
    """Serve until stdin ends."""
    counts = {name: Count(wanted, stamped=stamped and name == "tcp") for name in SINKS}
    loop = asyncio.get_running_loop()
    tcp = await loop.create_server(lambda: LinesReceiver(counts["tcp"]), "127.0.0.1", 0)
    gelf = await loop.create_server(lambda: LinesReceiver(counts["gelf"], b"\0"), "127.0.0.1", 0)
    runner = web.AppRunner(requests(counts), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = directory / "bench.ndjson"
    http = f"127.0.0.1:{runner.addresses[0][1]}"
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_file(path, counts["file"]), name="file")
        _say(
            {
                "tcp": f"tcp://127.0.0.1:{tcp.sockets[0].getsockname()[1]}",
                "loki": f"loki+http://{http}",
                "file": f"file://{path}",
                "http": f"http://{http}/lines",
                "otlp": f"otlp+http://{http}",
                "gelf": f"gelf+tcp://127.0.0.1:{gelf.sockets[0].getsockname()[1]}",
            }
        )
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            _say(await _answer(counts, orjson.loads(line)))
        reading.cancel()
    tcp.close()
    gelf.close()
    await runner.cleanup()


async def _answer(
    counts: Mapping[str, Count], asked: Mapping[str, list[str] | float]
) -> Mapping[str, Mapping[str, object]]:
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
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), stamped=sys.argv[3] == "yes"))
