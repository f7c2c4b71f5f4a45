"""Records as entries of Cloud Logging's entries.write.

Source: Cloud Logging API Reference, "Method: entries.write" and "LogEntry"; the payload is that of Docker's gcplogs
driver (moby daemon/logger/gcplogs/gcplogging.go: instance, container, message), with what that leaves out beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from agent.batch import Batch, Container, Stream
from agent.encode.fields import parsed
from agent.encode.utf8 import escaped
from agent.level import Level
from agent.options import KiB

_OPEN = b'{"insertId":"'
_TIME = b'","timestamp":"'
_PAYLOAD = b'","jsonPayload":'
_MESSAGE = b',"message":"'
_TRUNCATED = b',"truncated":true'
_CLOSE = b'"}}'
_PARTS = 6  # close and open, id, time's head, time, payload, message
ENTRY_BYTES = 256 * KiB
_QUOTE = b'"'
#: "Structured logging", special fields: what they are of the entry.
_SPECIAL_PREFIX = b"logging.googleapis.com/"
_SPECIAL = {
    "logging.googleapis.com/trace": ("trace", str),
    "logging.googleapis.com/spanId": ("spanId", str),
    "logging.googleapis.com/trace_sampled": ("traceSampled", bool),
}
_AROUND = 500  # bytes of an entry beside payload, fields and message
#: LogSeverity knows no trace.
_SEVERITIES = [b"", *(b',"severity":"%b"' % max(level, Level.DEBUG).name.encode() for level in Level)]


def entries(batch: Batch, instance: Mapping[str, str]) -> bytes:
    """The records as entries, a comma between them. instance: zone, name and id of the machine, where told."""
    payload = _payload(batch.container, batch.stream, instance)
    parts: list[bytes] = [_CLOSE + b"," + _OPEN, b"", _TIME, b"", payload + _MESSAGE, b""] * len(batch)
    parts[0] = _OPEN
    parts[1::_PARTS] = batch.ids()
    parts[3::_PARTS] = batch.rfc3339()
    parts[5::_PARTS] = escaped(batch)
    if batch.levels or batch.fields:
        rest = payload[len(_QUOTE) :]
        room = ENTRY_BYTES - len(payload) - _AROUND
        columns = zip(parts[5::_PARTS], *parsed(batch), strict=True)
        own = [(level, *_own(text, room - len(message))) for message, level, text in columns]
        parts[4::_PARTS] = [
            b"%b%b%b%b%b%b" % (_QUOTE, _SEVERITIES[level], trace, rest, fields, _MESSAGE)
            for level, trace, fields in own
        ]
    for row in batch.truncated:
        parts[_PARTS * row + 4] = parts[_PARTS * row + 4].removesuffix(_MESSAGE) + _TRUNCATED + _MESSAGE
    parts.append(_CLOSE)
    return b"".join(parts)


def _own(text: bytes | None, room: int) -> tuple[bytes, bytes]:
    """Parsed fields, if there is room, as members of the entry and of its payload: a comma before each.

    They are read in any case, as a name that is there twice would cost the whole request.
    """
    if text is None or len(text) > room:
        return b"", b""
    fields = orjson.loads(text)
    trace = b""
    if _SPECIAL_PREFIX in text:
        known = {
            name: fields.pop(key)
            for key, (name, kind) in _SPECIAL.items()
            if isinstance(fields.get(key), kind)
        }
        trace = b"," + orjson.dumps(known)[1:-1] if known else b""
    return trace, b',"fields":' + orjson.dumps(fields) if fields else b""


def payload_bytes(batch: Batch, instance: Mapping[str, str]) -> int:
    """How long what goes with each message is."""
    return len(_payload(batch.container, batch.stream, instance))


def _payload(container: Container, stream: Stream, instance: Mapping[str, str]) -> bytes:
    """What stands between the time and the message: the payload but for its end."""
    key = ("gcplogs", stream, *instance.items())
    payload = container.constants.get(key)
    if payload is None:
        described = {
            "name": f"/{container.name}",  # with the slash, as the driver has it
            "id": container.id,
            "imageName": container.image,
            "imageId": container.image_id,
            "metadata": {**container.labels, **container.env},
        }
        whole = {
            "instance": dict(instance),
            "container": _present(described),
            "stream": stream.value,
            "tag": container.tag,
            "host": container.host,
            "project": container.project,
            "service": container.service,
            "swarm": dict(container.swarm),
            "kubernetes": dict(container.kubernetes),
        }
        payload = container.constants[key] = _PAYLOAD + orjson.dumps(_present(whole))[:-1]
    return payload


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}
