"""The record as newline-delimited JSON: the form of console, file, http, tcp and whoever takes lines.

What is the same for every record of a container and stream is encoded once and kept with the container;
the columns are encoded whole and interleaved with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import add

import orjson

from agent.batch import Batch, Container, Stream
from agent.encode.utf8 import escaped
from agent.level import Level

FORMAT = "ndjson"
_OPEN = b'{"timestamp":"'
_CLOSE = b'"}\n'
_HEAD = {stream: b'","stream":"%b","message":"' % stream.value.encode() for stream in Stream}
_TRUNCATED = b'","truncated":true'
_QUOTE = b'"'
_LEVELS = [b"", *(b',"level":"%b"' % level.text.encode() for level in Level)]
_PARTS = 6  # close and open, timestamp, head, message, tail, id


def ndjson(batch: Batch) -> bytes:
    r"""Every record as one JSON object and `\n`, keys in the contract's order; kept in `batch.encoded`."""
    encoded = batch.encoded.get(FORMAT)
    if encoded is None:
        encoded = batch.encoded[FORMAT] = _encode(batch) if len(batch) else b""
    return encoded


def lines(batch: Batch) -> list[bytes]:
    """Every record as one JSON object, each by itself."""
    return ndjson(batch)[:-1].split(b"\n") if len(batch) else []  # JSON has no bare newline


def _encode(batch: Batch) -> bytes:
    tail = _tail(batch.container)
    parts: list[bytes] = [_CLOSE + _OPEN, b"", _HEAD[batch.stream], b"", tail, b""] * len(batch)
    parts[0] = _OPEN
    parts[1::_PARTS] = batch.rfc3339()
    parts[3::_PARTS] = escaped(batch)
    parts[5::_PARTS] = batch.ids()
    if batch.levels or batch.fields:
        parts[4::_PARTS] = [_QUOTE + parsed + tail[1:] for parsed in members(batch)]
    for row in batch.truncated:
        parts[_PARTS * row + 4] = _TRUNCATED + parts[_PARTS * row + 4][1:]
    parts.append(_CLOSE)
    return b"".join(parts)


def members(batch: Batch) -> Iterator[bytes]:
    """For each record `,"level":"…","fields":{…}`, of that what it has."""
    levels = map(_LEVELS.__getitem__, batch.levels or bytes(len(batch)))
    if batch.fields is None:
        return levels
    fields = (b',"fields":' + found if found else b"" for found in batch.fields)
    return map(add, levels, fields)


def _tail(container: Container) -> bytes:
    """What follows the message, from its closing quote to the opening quote of the id."""
    tail = container.constants.get(FORMAT)
    if tail is None:
        constants = {"tag": container.tag, "host": container.host, "container": describe(container)}
        tail = b'",%b,"id":"' % orjson.dumps(constants)[1:-1]
        container.constants[FORMAT] = tail
    return tail


def describe(container: Container) -> dict[str, object]:
    """The record's `container`; what is absent is left out."""
    described = {
        "id": container.id,
        "name": container.name,
        "image": container.image,
        "labels": dict(container.labels),
        "env": dict(container.env),
        "project": container.project,
        "service": container.service,
        "swarm": dict(container.swarm),
        "kubernetes": dict(container.kubernetes),
    }
    return {key: value for key, value in described.items() if value}
