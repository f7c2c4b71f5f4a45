"""The record as a GELF 1.1 message, and a message as the chunks of a datagram.

Sources: Graylog's docs, "GELF Payload Specification"; moby daemon/logger/gelf/gelf.go, whose names the fields have;
GelfCodec.java, Message.java of Graylog's server, which drops a message whose text is blank.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import orjson

from agent.batch import NS, Batch, Container, Stream
from agent.encode.compress import compress
from agent.encode.utf8 import escaped

CHUNKS = 128  # of one message
CHUNK_HEADER_BYTES = 12
BLANK = b"-"

_MAGIC = b"\x1e\x0f"
_LEVELS = {Stream.STDOUT: 6, Stream.STDERR: 3}  # syslog's info and error
_TRIMMED = bytes(range(33))  # what Java's String.trim() takes off both ends
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


def messages(batch: Batch) -> list[bytes]:
    """Every record as one JSON object."""
    head, tail, marked = _around(batch.container, batch.stream)
    times = [b"%d.%09d" % divmod(stamp, NS) for stamp in batch.timestamps]
    ids = batch.ids()
    texts = [
        text if message.strip(_TRIMMED) else BLANK
        for text, message in zip(escaped(batch), batch.messages, strict=True)
    ]
    middle = b',"short_message":"'
    column = [
        b"".join((head, stamp, middle, text, tail, identity, b'"}'))
        for stamp, text, identity in zip(times, texts, ids, strict=True)
    ]
    for row in batch.truncated:
        column[row] = b"".join((head, times[row], middle, texts[row], marked, ids[row], b'"}'))
    return column


def _around(container: Container, stream: Stream) -> tuple[bytes, bytes, bytes]:
    """What stands before the time; between text and id; and there when the text was cut."""
    key = ("gelf", stream)
    tail = container.constants.get(key)
    if tail is None:
        tail = container.constants[key] = (
            b'",%b,"_record_id":"' % orjson.dumps(_fields(container, stream))[1:-1]
        )
    head = orjson.dumps({"version": "1.1", "host": container.host or "-", "level": _LEVELS[stream]})
    return head[:-1] + b',"timestamp":', tail, b'","_truncated":"true"' + tail[1:]


def _fields(container: Container, stream: Stream) -> dict[str, str]:
    ours = {
        "_container_id": container.id,
        "_container_name": container.name,
        "_image_id": container.image_id,
        "_image_name": container.image,
        "_tag": container.tag,
        "_stream": stream.value,
        "_project": container.project,
        "_service": container.service,
    }
    fields = {name: value for name, value in ours.items() if value}
    taken = {*ours, "_record_id", "_truncated"}
    for name, value in [*container.labels.items(), *container.env.items()]:
        allowed = field_name(name)
        if value and allowed not in taken:
            fields.setdefault(allowed, value)
    return fields


def field_name(name: str) -> str:
    """`name` of a label or variable as an additional field; `_id` is not allowed."""
    allowed = _NOT_IN_NAMES.sub("_", name)
    allowed = allowed if allowed.startswith("_") else f"_{allowed}"
    return "_id_" if allowed == "_id" else allowed


def datagrams(message: bytes, most: int, method: str) -> list[bytes] | None:
    """`message` in datagrams of `most` bytes: one, or, compressed by `method`, chunks. None: it takes too many."""
    if len(message) <= most:
        return [message]
    packed = compress(message, method)
    if len(packed) <= most:
        return [packed]
    room = most - CHUNK_HEADER_BYTES
    pieces: Sequence[bytes] = [packed[at : at + room] for at in range(0, len(packed), room)]
    if len(pieces) > CHUNKS:
        return None
    header = _MAGIC + os.urandom(8)
    return [b"%b%c%c%b" % (header, number, len(pieces), piece) for number, piece in enumerate(pieces)]
