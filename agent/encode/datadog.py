"""The array that Datadog's log intake takes, with the Agent's fields and tags.

Source: Datadog's API reference, "Send logs"; datadog-agent, pkg/logs/processor/json.go (a message's fields) and
comp/core/tagger/collectors/workloadmeta_extract.go (a container's tags). Times are whole milliseconds there; the
nanoseconds are in the record's id. Parsed fields are attributes, as those of a message that is JSON; one that has a
name of ours, or of Datadog's, lies below `fields`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from agent.batch import Batch, Container, Stream
from agent.encode.image import split_image
from agent.encode.utf8 import escaped
from agent.level import Level
from agent.tag import Tag

_STATUS = {Stream.STDOUT: "info", Stream.STDERR: "error"}
_MS = 1_000_000
_OPEN = b'{"timestamp":'
_MESSAGE = b',"message":"'
_CLOSE = b'"}'
_PARTS = 6  # close and open, time, fields and message's name, message, constants, id
_STATUS_HEAD = b'","status":"'
#: Of a log, so that parsed fields do not make it longer than Datadog keeps.
_LOG_BYTES = 900_000
_TAKEN = {
    *("timestamp", "message", "truncated", "status", "hostname", "service", "ddsource", "ddtags"),
    *("stream", "tag", "container", "record_id", "host", "source", "fields"),
}


@dataclass(frozen=True, slots=True)
class Naming:
    """What a user says that the logs are; None: what the containers say."""

    service: Tag | None = None
    source: Tag | None = None
    tags: tuple[str, ...] = ()


def logs(batches: Sequence[Batch], naming: Naming) -> bytes:
    """The records as one array."""
    return b"[%b]" % b",".join(_records(batch, naming) for batch in batches if len(batch))


def _records(batch: Batch, naming: Naming) -> bytes:
    plain = _constants(batch, naming)
    parts: list[bytes] = [_CLOSE + b"," + _OPEN, b"", _MESSAGE, b"", plain, b""] * len(batch)
    parts[0] = _OPEN
    parts[1::_PARTS] = orjson.dumps([stamp // _MS for stamp in batch.timestamps])[1:-1].split(b",")
    parts[3::_PARTS] = escaped(batch)
    parts[5::_PARTS] = batch.ids()
    if batch.levels:
        rest = plain[plain.index(b'"', len(_STATUS_HEAD)) :]
        constants = [plain, *(_STATUS_HEAD + level.text.encode() + rest for level in Level)]
        parts[4::_PARTS] = map(constants.__getitem__, batch.levels)
    if batch.fields:
        room = _LOG_BYTES - len(plain)
        parts[2::_PARTS] = [
            _attributes(fields) + _MESSAGE if fields and len(message) + len(fields) <= room else _MESSAGE
            for fields, message in zip(batch.fields, parts[3::_PARTS], strict=True)
        ]
    for row in batch.truncated:
        parts[_PARTS * row + 4] = b'","truncated":true' + parts[_PARTS * row + 4][1:]
    parts.append(_CLOSE)
    return b"".join(parts)


def _attributes(fields: bytes) -> bytes:
    """Parsed fields as members of the log, a comma before each."""
    found = orjson.loads(fields)
    if not found.keys().isdisjoint(_TAKEN):
        below = {name: found.pop(name) for name in _TAKEN & found.keys()}
        found["fields"] = below
    return b"," + orjson.dumps(found)[1:-1] if found else b""


def _constants(batch: Batch, naming: Naming) -> bytes:
    """From the message's closing quote to the opening quote of the id."""
    key = ("datadog", naming, batch.stream)
    constants = batch.container.constants.get(key)
    if constants is None:
        described = orjson.dumps(_describe(batch.container, batch.stream, naming) | {"record_id": ""})
        constants = batch.container.constants[key] = b'",' + described[1 : -len(_CLOSE)]
    return constants


def _describe(container: Container, stream: Stream, naming: Naming) -> dict[str, object]:
    service, source = container.service or container.name, _short(split_image(container.image)[0])
    known = {
        "status": _STATUS[stream],
        "hostname": container.host,
        "service": naming.service.render(container) if naming.service else service,
        "ddsource": naming.source.render(container) if naming.source else source,
        "ddtags": ",".join([*_tags(container), *naming.tags]),
        "stream": stream.value,
        "tag": container.tag,
    }
    own = {"labels": dict(container.labels), "env": dict(container.env)}
    own = {key: value for key, value in own.items() if value}
    return {key: value for key, value in known.items() if value} | ({"container": own} if own else {})


def _tags(container: Container) -> list[str]:
    """The Agent's tags of a container, and Compose's names."""
    name, tag = split_image(container.image)
    known = {
        "container_id": container.id,
        "container_name": container.name,
        "docker_image": f"{name}:{tag}" if tag else name,
        "image_name": name,
        "short_image": _short(name),
        "image_tag": tag,
        "image_id": container.image_id,
        "compose_project": container.project,
        "compose_service": container.service,
        "swarm_service": container.service if container.swarm else None,
        "kube_namespace": container.kubernetes.get("namespace"),
        "pod_name": container.kubernetes.get("pod"),
        "kube_container_name": container.kubernetes.get("container"),
    }
    return [f"{key}:{value.replace(',', '_')}" for key, value in known.items() if value]


def _short(image: str) -> str:
    """An image's name without its registry and path."""
    return image.rpartition("/")[2]
