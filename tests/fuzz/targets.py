"""What is fuzzed: everything that reads what others wrote. Only documented errors may come out.

Each target takes a seeded source of chance and does one run; it raises what is not documented. Inputs are
good ones with a few bytes changed, for noise alone does not get far.
"""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable

from agent.batch import NS, Container, rfc3339
from agent.errors import DockferryError, SettingsError
from agent.labels import read_labels
from agent.settings import Settings
from agent.sinks import parse_sink, redact
from agent.source.cursor import Cursor, Mark, Place
from agent.source.stream import OpenStream, Shape
from agent.tag import Tag

Target = Callable[[random.Random], None]
WEB = Container(id="ab" * 32, name="web", image="i", tag="t", host="h")
MAX_LINE_BYTES = 40_000
_URLS = (
    "console:?format=json",
    "file:///tmp/x/{{.Name}}.ndjson?rotate_bytes=1MiB&keep=5&compress=gzip",
    "https://user:pass%40@host:8443/a%20b?timeout=5s&batch_records=10&verify=false",
    "loki+http://[::1]:3100?tenant=a&labels=x",
    "tls://host:1?ca=/x&select=name=web-*",
)
_TAGS = ('{{.Name}}-{{index .Labels "a\\"b"}}', "{{- .ID -}}{{index .Env `X`}}")
_SETTINGS = {
    "DOCKFERRY_STATE": "memory",
    "DOCKFERRY_BACKLOG": "10m",
    "DOCKFERRY_INCLUDE": "name=web-*,label=a=b",
    "DOCKFERRY_TAG": "{{.Name}}",
    "DOCKFERRY_MAX_LINE_BYTES": "1MiB",
    "DOCKFERRY_HTTP": "[::1]:9469",
    "DOCKFERRY_SINK_A": "console:",
}


def spoilt(chance: random.Random, data: bytes) -> bytes:
    """`data` with a few bytes changed, doubled or left out."""
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        start = chance.randrange(len(data) + 1)
        size = chance.choice((0, 1, 1, 4, 30))
        put = chance.choice(
            (b"", chance.randbytes(size), data[start : start + size] * 2, b"%", b"\n", b"\xff")
        )
        data = data[:start] + put + data[start + size :]
    return data


def _text(chance: random.Random, text: str) -> str:
    return spoilt(chance, text.encode()).decode(errors="replace").replace("\0", "")


def log_stream(chance: random.Random) -> None:
    """Demultiplexer or TTY splitter, assembler and cursor: bounded, columns of one length, sane numbers."""
    tty, at, data = chance.random() < 0.3, 1_790_000_000 * NS, b""
    for _ in range(chance.randrange(1, 30)):
        at += chance.choice((0, 1, NS, -NS))
        body = chance.randbytes(chance.choice((0, 3, 16_384))) + chance.choice((b"\n", b"\r\n", b""))
        text = rfc3339(at) + b" " + body
        data += text if tty else struct.pack(">BxxxI", chance.choice((1, 1, 1, 2)), len(text)) + text
    data = spoilt(chance, data)
    place = Place(Cursor())
    stream = OpenStream(Shape(tty, chance.random() < 0.8, MAX_LINE_BYTES), place, repeats=None, jumps=None)
    while data:
        size = chance.choice((1, 100, 5000, 50_000))
        step = stream.feed(data[:size], 0)
        data = data[size:]
        for batch in place.take(step.records, WEB, open_streams=stream.open_streams, owed=stream.search.owed):
            assert len(batch.timestamps) == len(batch.messages) == len(batch.ids()) == len(batch.rfc3339())
            assert max(map(len, batch.messages)) <= MAX_LINE_BYTES
            assert all(0 <= stamp < 1 << 63 for stamp in batch.timestamps)
        assert Cursor.from_bytes(place.cursor.to_bytes()) == place.cursor
        if step.error is not None:
            return
    stream.finish(0)


def cursor_bytes(chance: random.Random) -> None:
    """ValueError, nothing else."""
    good = Cursor(since=5, mark=Mark(1, 2, 3, "x"), beyond=(0, 1)).to_bytes()
    with contextlib.suppress(ValueError):
        Cursor.from_bytes(spoilt(chance, good))


def sink_url(chance: random.Random) -> None:
    """A DockferryError; `redact` never fails."""
    url = _text(chance, chance.choice(_URLS))
    redact(url)
    with contextlib.suppress(DockferryError):
        parse_sink("x", url, read_file=lambda _path: "value")


def labels(chance: random.Random) -> None:
    """A label is never an error."""
    names = ("dockferry.enable", "dockferry.tag", "dockferry.sinks", "dockferry.drop", "dockferry.")
    values = ("true", "a,b", *_TAGS)
    read_labels(
        {_text(chance, chance.choice(names)): _text(chance, chance.choice(values)) for _ in range(4)},
        container_name="web",
    )


def tag(chance: random.Random) -> None:
    """A ValueError; what parses can be rendered."""
    try:
        parsed = Tag.parse(_text(chance, chance.choice(_TAGS)))
    except ValueError:
        return
    parsed.render(WEB_FACTS)


class _Facts:
    id, name, image, image_id = "ab" * 32, "web", "i", "sha256:0"
    labels: dict[str, str] = {}  # noqa: RUF012 - never written
    env: dict[str, str] = {}  # noqa: RUF012 - never written


WEB_FACTS = _Facts()


def settings(chance: random.Random) -> None:
    """A SettingsError with every fault."""
    environ = {
        (_text(chance, name) if chance.random() < 0.2 else name): _text(chance, value)
        for name, value in _SETTINGS.items()
    }
    try:
        Settings.load(environ, accept=parse_sink)
    except SettingsError as error:
        if not error.problems:
            raise AssertionError("an error that says nothing") from error


TARGETS: tuple[Target, ...] = (log_stream, cursor_bytes, sink_url, labels, tag, settings)
