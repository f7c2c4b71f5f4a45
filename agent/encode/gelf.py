"""The record as a GELF 1.1 message, and a message as the chunks of a datagram.

Sources: Graylog's docs, "GELF Payload Specification"; moby daemon/logger/gelf/gelf.go, whose names the fields have;
GelfCodec.java, Message.java of Graylog's server, which drops a message whose text is blank, and a field that is
true or false or has a name of its own.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence

import orjson

from agent.batch import NS, Batch, Container, Stream
from agent.encode.compress import compress
from agent.encode.fields import Flattened, Value, as_text, parsed
from agent.encode.orchestrated import NAMES, named
from agent.encode.utf8 import escaped
from agent.level import Level

CHUNKS = 128  # of one message
CHUNK_HEADER_BYTES = 12
BLANK = b"-"

_MAGIC = b"\x1e\x0f"
_TAKEN = {"_record_id", "_truncated", *(f"_{name}" for name in NAMES)}
_LEVELS = {Stream.STDOUT: 6, Stream.STDERR: 3}  # syslog's info and error
_TRIMMED = bytes(range(33))  # what Java's String.trim() takes off both ends
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")
#: Names that Graylog has a meaning of its own for (it leaves such a field out), and none at all.
_GRAYLOGS = {
    "_",
    *("_version", "_host", "_source", "_message", "_short_message", "_full_message", "_timestamp", "_level"),
    *("_facility", "_file", "_line", "_streams", "_ttl", "_index", "_type", "_score", "_all"),
}


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
    return _with_parsed(batch, column) if batch.levels or batch.fields else column


def _with_parsed(batch: Batch, column: Sequence[bytes]) -> list[bytes]:
    """The messages with their own levels and fields."""
    container, stream = batch.container, batch.stream
    plain = _head(container, _LEVELS[stream])
    heads = [plain, *(_head(container, level.severity) for level in Level)]
    taken = {*_known(container, stream), *_fields(container, stream), *_TAKEN, *_GRAYLOGS}
    additional = Flattened(field_name, taken)
    after = len(plain)  # a severity is one digit
    return [
        b"%b%b%b}" % (heads[level], message[after:-1], _members(additional.values(fields)))
        for message, level, fields in zip(column, *parsed(batch), strict=True)
    ]


def _members(values: Mapping[str, Value]) -> bytes:
    """Parsed fields as members of the message, a comma before each."""
    if True in values.values() or False in values.values():
        values = {
            name: as_text(value) if isinstance(value, bool) else value for name, value in values.items()
        }
    return b"," + orjson.dumps(values)[1:-1] if values else b""


def _around(container: Container, stream: Stream) -> tuple[bytes, bytes, bytes]:
    """What stands before the time; between text and id; and there when the text was cut."""
    key = ("gelf", stream)
    tail = container.constants.get(key)
    if tail is None:
        tail = container.constants[key] = (
            b'",%b,"_record_id":"' % orjson.dumps(_fields(container, stream))[1:-1]
        )
    return _head(container, _LEVELS[stream]), tail, b'","_truncated":"true"' + tail[1:]


def _head(container: Container, level: int) -> bytes:
    """What stands before the time. `level`: syslog's severity."""
    head = orjson.dumps({"version": "1.1", "host": container.host or "-", "level": level})
    return head[:-1] + b',"timestamp":'


def _known(container: Container, stream: Stream) -> dict[str, str | None]:
    """The fields that are ours alone."""
    return {
        "_container_id": container.id,
        "_container_name": container.name,
        "_image_id": container.image_id,
        "_image_name": container.image,
        "_tag": container.tag,
        "_stream": stream.value,
        "_project": container.project,
        "_service": container.service,
        **named(container, "_"),
    }


def _fields(container: Container, stream: Stream) -> dict[str, str]:
    ours = _known(container, stream)
    fields = {name: value for name, value in ours.items() if value}
    taken = {*ours, *_TAKEN}
    for name, value in [*container.labels.items(), *container.env.items()]:
        allowed = field_name(name)
        if value and allowed not in taken:
            fields.setdefault(allowed, value)
    return fields


@functools.lru_cache(maxsize=1024)
def field_name(name: str) -> str:
    """`name` of a label, variable or parsed field as an additional field; `_id` is not allowed."""
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
