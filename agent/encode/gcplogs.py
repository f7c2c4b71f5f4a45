"""Records as entries of Cloud Logging's entries.write.

Source: Cloud Logging API Reference, "Method: entries.write" and "LogEntry"; the payload is that of Docker's gcplogs
driver (moby daemon/logger/gcplogs/gcplogging.go: instance, container, message), with what that leaves out beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from agent.batch import Batch, Container, Stream
from agent.encode.utf8 import escaped

_OPEN = b'{"insertId":"'
_TIME = b'","timestamp":"'
_PAYLOAD = b'","jsonPayload":'
_MESSAGE = b',"message":"'
_TRUNCATED = b',"truncated":true'
_CLOSE = b'"}}'
_PARTS = 6  # close and open, id, time's head, time, payload, message


def entries(batch: Batch, instance: Mapping[str, str]) -> bytes:
    """The records as entries, a comma between them. instance: zone, name and id of the machine, where told."""
    payload = _payload(batch.container, batch.stream, instance)
    parts: list[bytes] = [_CLOSE + b"," + _OPEN, b"", _TIME, b"", payload + _MESSAGE, b""] * len(batch)
    parts[0] = _OPEN
    parts[1::_PARTS] = batch.ids()
    parts[3::_PARTS] = batch.rfc3339()
    parts[5::_PARTS] = escaped(batch)
    for row in batch.truncated:
        parts[_PARTS * row + 4] = payload + _TRUNCATED + _MESSAGE
    parts.append(_CLOSE)
    return b"".join(parts)


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
        }
        payload = container.constants[key] = _PAYLOAD + orjson.dumps(_present(whole))[:-1]
    return payload


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}
