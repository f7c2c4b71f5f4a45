"""The record as an entry of journald's native protocol.

Sources: systemd.io, "Native Journal Protocol" and systemd.journal-fields(7); moby daemon/logger/journald/journald.go,
whose fields these are. Not among them is CONTAINER_ID_FULL, unless asked for: by it that driver finds the lines of
its own container, so `docker logs`, and we who read it, would be given what we sent here.
"""

from __future__ import annotations

import re
import struct

from agent.batch import Batch, Container, Stream

FIELD_CHARACTERS = 64
_PRIORITIES = {Stream.STDOUT: "6", Stream.STDERR: "3"}
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")
_SIZE = struct.Struct("<Q")


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
    return column


def _constants(container: Container, stream: Stream, *, full_id: bool) -> bytes:
    """Every field but those that differ from record to record, up to the value of the time."""
    key = ("journal", stream, full_id)
    known = container.constants.get(key)
    if known is None:
        ours = {
            "PRIORITY": _PRIORITIES[stream],
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
        }
        fields = {name: value for name, value in ours.items() if value}
        taken = {*ours, "MESSAGE", "SYSLOG_TIMESTAMP", "CONTAINER_RECORD_ID", "CONTAINER_TRUNCATED"}
        for name, value in [*container.labels.items(), *container.env.items()]:
            allowed = field_name(name)
            if allowed and value and allowed not in taken:
                fields.setdefault(allowed, value)
        lines = [_field(name, value.encode()) for name, value in fields.items()]
        known = container.constants[key] = b"".join(lines) + b"SYSLOG_TIMESTAMP="
    return known


def field_name(name: str) -> str:
    """`name` of a label or variable as Docker's driver makes a field of it; empty when nothing is left."""
    return _NOT_IN_NAMES.sub("_", name.upper()).lstrip("_0123456789")[:FIELD_CHARACTERS]


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name.encode(), _SIZE.pack(len(value)), value)
    return b"%b=%b\n" % (name.encode(), value)
