"""The record as an entry of journald's native protocol.

Sources: systemd.io, "Native Journal Protocol" and systemd.journal-fields(7); moby daemon/logger/journald/journald.go,
whose fields these are. Not among them is CONTAINER_ID_FULL, unless asked for: by it that driver finds the lines of
its own container, so `docker logs`, and we who read it, would be given what we sent here.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Mapping, Sequence

from agent.batch import Batch, Container, Stream
from agent.encode.fields import PREFIX, Flattened, parsed
from agent.encode.orchestrated import named
from agent.level import Level

FIELD_CHARACTERS = 64
_PRIORITIES = {Stream.STDOUT: 6, Stream.STDERR: 3}
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")
_SIZE = struct.Struct("<Q")
_PRIORITY = b"PRIORITY=%d\n"
#: How names begin that no container may use for its parsed fields.
_OURS = ("CONTAINER_", "IMAGE_", "SYSLOG_", "OBJECT_", "COREDUMP_")
_TAKEN = {"MESSAGE", "SYSLOG_TIMESTAMP", "CONTAINER_RECORD_ID", "CONTAINER_TRUNCATED"}


def entries(batch: Batch, *, full_id: bool) -> list[bytes]:
    """Every record as one entry; a message's bytes stay as they are."""
    head = _constants(batch.container, batch.stream, full_id=full_id)
    pack = _SIZE.pack
    column = [
        b"".join(
            (head, stamp, b"\nCONTAINER_RECORD_ID=", identity, b"\nMESSAGE\n", pack(len(text)), text, b"\n")
        )
        for stamp, identity, text in zip(batch.rfc3339(), batch.ids(), batch.messages, strict=True)
    ]
    for row in batch.truncated:
        column[row] += b"CONTAINER_TRUNCATED=true\n"
    return _with_parsed(batch, column, full_id=full_id) if batch.levels or batch.fields else column


def _with_parsed(batch: Batch, column: Sequence[bytes], *, full_id: bool) -> list[bytes]:
    """The entries with their own levels and fields."""
    plain = _PRIORITY % _PRIORITIES[batch.stream]
    priorities = [plain, *(_PRIORITY % level.severity for level in Level)]
    taken = {*_fields(batch.container, batch.stream, full_id=full_id), *_TAKEN}
    named = Flattened(parsed_name, taken)
    after = len(plain)  # a priority is one digit
    return [
        b"%b%b%b" % (priorities[level], entry[after:], _lines(named.texts(fields)))
        for entry, level, fields in zip(column, *parsed(batch), strict=True)
    ]


def _lines(fields: Mapping[str, str]) -> bytes:
    return b"".join([_field(name, value.encode()) for name, value in fields.items()])


def _constants(container: Container, stream: Stream, *, full_id: bool) -> bytes:
    """Every field but those that differ from record to record, up to the value of the time."""
    key = ("journal", stream, full_id)
    known = container.constants.get(key)
    if known is None:
        fields = _fields(container, stream, full_id=full_id)
        known = container.constants[key] = _lines(fields) + b"SYSLOG_TIMESTAMP="
    return known


def _fields(container: Container, stream: Stream, *, full_id: bool) -> dict[str, str]:
    ours = {
        "PRIORITY": str(_PRIORITIES[stream]),
        "SYSLOG_IDENTIFIER": container.tag,
        "CONTAINER_ID": container.id[:12],
        "CONTAINER_ID_FULL": container.id if full_id else "",
        "CONTAINER_NAME": container.name,
        "CONTAINER_TAG": container.tag,
        "IMAGE_NAME": container.image,
        "CONTAINER_STREAM": stream.value,
        "CONTAINER_HOST": container.host,
        "CONTAINER_PROJECT": container.project,
        "CONTAINER_SERVICE": container.service,
        **{f"CONTAINER_{name.upper()}": value for name, value in named(container).items()},
    }
    fields = {name: value for name, value in ours.items() if value}
    taken = {*ours, *_TAKEN}
    for name, value in [*container.labels.items(), *container.env.items()]:
        allowed = field_name(name)
        if allowed and value and allowed not in taken:
            fields.setdefault(allowed, value)
    return fields


@functools.lru_cache(maxsize=1024)
def parsed_name(name: str) -> str:
    """`name` of a parsed field as a field of the entry; empty when nothing is left."""
    allowed = field_name(name)
    return field_name(PREFIX + name) if allowed.startswith(_OURS) else allowed


def field_name(name: str) -> str:
    """`name` of a label or variable as Docker's driver makes a field of it; empty when nothing is left."""
    return _NOT_IN_NAMES.sub("_", name.upper()).lstrip("_0123456789")[:FIELD_CHARACTERS]


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name.encode(), _SIZE.pack(len(value)), value)
    return b"%b=%b\n" % (name.encode(), value)
