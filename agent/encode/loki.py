"""Loki's PushRequest: protobuf by hand, because five message types need no runtime.

Source: loki pkg/push/push.proto; the structure is

    PushRequest { 1: repeated Stream }      Stream    { 1: string labels, 2: repeated Entry }
    Entry { 1: Timestamp, 2: string line, 3: repeated LabelPair }
    Timestamp { 1: int64 seconds, 2: int32 nanos }      LabelPair { 1: string name, 2: string value }

Labels choose the stream and are few; all else goes along with each entry as structured metadata.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from operator import add

from agent.batch import NS, Batch, Container, Stream
from agent.encode.utf8 import cleaned

#: The names that do not mean a container's label.
FIXED_LABELS = ("host", "project", "service", "container", "stream", "image", "tag")
DEFAULT_LABELS = ("host", "project", "service", "container", "stream")
SERVICE_NAME = "service_name"  # Loki's own first look; derived there by guessing, unless it is sent
RECORD_ID = "record_id"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
_NOT_IN_VALUES = re.compile(r'["\\\x00-\x1f\x7f]')
_PARTS = 6  # entry and its size, timestamp, line's size, line, metadata, id


def push_request(batches: Sequence[Batch], labels: Sequence[str] = DEFAULT_LABELS) -> bytes:
    """The records as the body of a push, not yet compressed: one stream for each set of labels."""
    names = tuple(labels)
    streams: dict[bytes, list[bytes]] = {}
    for batch in batches:
        text = _labels(batch.container, batch.stream, names)
        streams.setdefault(text, []).append(_entries(batch, names))
    parts: list[bytes] = []
    for text, entries in streams.items():
        label_field = _field(1, text)
        parts += [_head(1, len(label_field) + sum(map(len, entries))), label_field, *entries]
    return b"".join(parts)


def _labels(container: Container, stream: Stream, labels: tuple[str, ...]) -> bytes:
    """The stream's labels in Loki's notation, `{host="node-1",…}`, sorted; absent ones are left out."""
    key = ("loki labels", stream, labels)
    text = container.constants.get(key)
    if text is None:
        values = _known(container, stream)
        chosen = {label_name(name): values.get(name) or container.labels.get(name) for name in labels}
        chosen[SERVICE_NAME] = container.service or container.name
        pairs = (f'{name}="{_quoted(value)}"' for name, value in sorted(chosen.items()) if value)
        text = container.constants[key] = b"{%b}" % ",".join(pairs).encode()
    return text


def label_name(name: str) -> str:
    """`name` in the letters Loki allows: `com.example.team` becomes `com_example_team`."""
    allowed = _NOT_IN_NAMES.sub("_", name)
    return f"_{allowed}" if allowed[:1].isdigit() else allowed


def _known(container: Container, stream: Stream) -> dict[str, str | None]:
    return {
        "host": container.host,
        "project": container.project,
        "service": container.service,
        "container": container.name,
        "stream": stream.value,
        "image": container.image,
        "tag": container.tag,
    }


def _quoted(value: str) -> str:
    return _NOT_IN_VALUES.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if match[0] in '"\\' else f"\\x{ord(match[0]):02x}"


def _metadata(container: Container, stream: Stream, labels: tuple[str, ...]) -> bytes:
    """Every entry's structured metadata but the record's id: what is no label."""
    key = ("loki metadata", stream, labels)
    pairs = container.constants.get(key)
    if pairs is None:
        values = {"container_id": container.id} | _known(container, stream)
        named = {name: value for name, value in values.items() if value and name not in labels}
        for name, value in [*container.labels.items(), *container.env.items()]:
            if value and name not in labels:
                named.setdefault(label_name(name), value)
        pairs = b"".join(_pair(name, value.encode()) for name, value in named.items())
        container.constants[key] = pairs
    return pairs


def _entries(batch: Batch, labels: tuple[str, ...]) -> bytes:
    """Every record as a field 2 of Stream, column by column."""
    constant = _metadata(batch.container, batch.stream, labels)
    lines, ids = cleaned(batch), _id_pairs(batch)
    times = list(map(_timestamp, batch.timestamps))
    metadata = [constant] * len(batch)
    for row in batch.truncated:
        metadata[row] += _pair("truncated", b"true")
    line_sizes = list(map(len, lines))
    heads = {size: b"\x12" + _varint(size) for size in set(line_sizes)}
    sizes = list(map(len, map(heads.__getitem__, line_sizes)))
    for column in (times, lines, metadata, ids):
        sizes = list(map(add, sizes, map(len, column)))
    openings = {size: b"\x12" + _varint(size) for size in set(sizes)}
    parts = [b""] * (_PARTS * len(batch))
    parts[0::_PARTS] = map(openings.__getitem__, sizes)
    parts[1::_PARTS] = times
    parts[2::_PARTS] = map(heads.__getitem__, line_sizes)
    parts[3::_PARTS] = lines
    parts[4::_PARTS] = metadata
    parts[5::_PARTS] = ids
    return b"".join(parts)


def _id_pairs(batch: Batch) -> list[bytes]:
    ids = batch.ids()
    heads = {size: _pair(RECORD_ID, bytes(size))[:-size] for size in set(map(len, ids))}
    return [heads[len(id_)] + id_ for id_ in ids]


def _timestamp(stamp: int) -> bytes:
    seconds, nanos = divmod(stamp, NS)
    inside = _seconds(seconds) + _varint(nanos)
    return b"\x0a%c%b" % (len(inside), inside)


@functools.lru_cache(maxsize=256)
def _seconds(seconds: int) -> bytes:
    return b"\x08" + _varint(seconds) + b"\x10"


def _pair(name: str, value: bytes) -> bytes:
    return _field(3, _field(1, name.encode()) + _field(2, value))


def _field(number: int, data: bytes) -> bytes:
    """A field of wire type 2: a message or a string."""
    return _head(number, len(data)) + data


def _head(number: int, size: int) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(size)


def _varint(value: int) -> bytes:
    """`value` ≥ 0 in base 128, least digit first; all but the last have the high bit set. Two at a time."""
    if value < 0x4000:
        return _LAST[value]
    return _FURTHER[value & 0x3FFF] + _varint(value >> 14)


_FURTHER = [bytes((value & 127 | 128, value >> 7 | 128)) for value in range(0x4000)]
_LAST = [
    bytes((value,)) if value < 128 else bytes((value & 127 | 128, value >> 7)) for value in range(0x4000)
]
