"""The bare reader: what the Engine itself allows. It reads containers' streams, counts lines and throws them away.

    python -m tests.bench.bare SOCKET WAY LINES STAMPED ID…

WAY as in `tests.bench.lines.WAYS`, STAMPED `yes` or `no`. Says "reading" when every stream is open, and how it fared
when all lines have come or nothing came for a while. HTTP/1.0, so that an answer is the bare stream.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Sequence
from struct import Struct
from urllib.parse import urlencode

import orjson

from tests.bench.latency import Latencies
from tests.bench.lines import MARK

_HEADER = Struct(">xxxxI")
_READ_BYTES = 1 << 20
_PATIENCE_S = 20.0
_OUTPUTS = {"stdout": 1, "stderr": 1}
_REQUESTS = {
    "attach": ("POST", "attach", {"stream": 1}),
    "logs": ("GET", "logs", {"timestamps": 1, "follow": 1, "tail": 0}),
    "history": ("GET", "logs", {"timestamps": 1, "follow": 1}),
}


class Marks:
    """Counts the lines of a log: each is a frame of its own, which its mark tells without taking it apart."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> int:
        """How many more, wherever the reads cut them."""
        edge = len(MARK) - 1
        more = data.count(MARK) + (self._rest + data[:edge]).count(MARK)
        self._rest = (self._rest + data)[-edge:]
        return more


class Newlines:
    """Counts the lines of an attached stream: a frame is what was written at once, and may end within a line."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def add(self, data: bytes) -> int:
        """How many more have ended."""
        more, place = 0, 0
        while place < len(data):
            if not self._left:
                missing = _HEADER.size - len(self._head)
                self._head += data[place : place + missing]
                place += missing
                if len(self._head) == _HEADER.size:
                    [self._left] = _HEADER.unpack(self._head)
                    self._head = b""
            end = min(place + self._left, len(data))
            more += data.count(b"\n", place, end)
            self._left -= max(end - place, 0)
            place = max(place, end)
        return more


def opened(path: str, way: str, id: str) -> tuple[socket.socket, bytes]:
    """The stream, and what of it came with the answer's head. Raises OSError."""
    method, what, query = _REQUESTS[way]
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(path)
    head = f"{method} /containers/{id}/{what}?{urlencode(_OUTPUTS | query)} HTTP/1.0\r\n\r\n"
    stream.sendall(head.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = stream.recv(_READ_BYTES)
        if not data:
            raise ConnectionError(f"no answer to {head}")
        answer += data
    head_bytes, _, rest = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head_bytes.partition(b"\r\n")[0]:
        raise ConnectionError(f"{head}: {answer!r}")
    return stream, rest


def read(path: str, way: str, ids: Sequence[str], wanted: int, *, stamped: bool) -> None:
    """Read until there are so many lines."""
    latencies = Latencies()
    lines, first_s, last_s = 0, 0.0, 0.0
    with selectors.DefaultSelector() as selector:

        def take(counted: Marks | Newlines, data: bytes) -> None:
            nonlocal lines, first_s, last_s
            lines += counted.add(data)
            last_s = time.monotonic()
            first_s = first_s or last_s
            if stamped:
                latencies.add(data, time.time_ns())

        streams = []
        for each in ids:
            stream, rest = opened(path, way, each)
            streams.append((stream, Newlines() if way == "attach" else Marks(), rest))
        _say("reading")
        for stream, counted, rest in streams:
            selector.register(stream, selectors.EVENT_READ, counted)
            if rest:
                take(counted, rest)
        while lines < wanted and (ready := selector.select(_PATIENCE_S)):
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                if data := key.fileobj.recv(_READ_BYTES):
                    take(key.data, data)
                else:
                    selector.unregister(key.fileobj)
    _say({"lines": lines, "first_s": first_s, "last_s": last_s, "latency": latencies.found})


def _say(what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _, path, way, wanted, stamped, *ids = sys.argv
    read(path, way, ids, int(wanted), stamped=stamped == "yes")
    sys.stdin.buffer.read()  # its CPU time is read while it is there
