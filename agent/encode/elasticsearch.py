"""The body of Elasticsearch's `_bulk`: for each record a line with what to do, and one with the document.

Source: the bulk API's reference; names are those of the Elastic Common Schema, where it has none those of
Filebeat's container input. Labels of containers lie below `container.labels`, their dots replaced, as Filebeat
does it too: a label `a` and a label `a.b` cannot both be fields. For the same reason parsed fields lie flat below
`fields`, and none is an object in one document and a number in another.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from agent.batch import NS, Batch, Container
from agent.encode.fields import Flattened, Value, parsed
from agent.encode.image import split_image
from agent.encode.utf8 import escaped
from agent.level import Level
from agent.tag import Tag

ECS_VERSION = "8.11.0"

_DAY_NS = 86_400 * NS
_NAME_BYTES = 255
_DATE = re.compile(r"%(.?)", re.DOTALL)
_UNFIT = re.compile(r'[\\/*?"<>| ,#:\x00-\x1f]')
_MIDDLE = b'"}}\n{"@timestamp":"'
_MESSAGE = b'","message":"'
_TRUNCATED = b',"log":{"flags":["truncated"]}'
_LEVELS = [b"", *(b',"log":{"level":"%b"}' % level.text.encode() for level in Level)]
_TRUNCATED_LEVELS = [
    _TRUNCATED,
    *(b',"log":{"level":"%b","flags":["truncated"]}' % level.text.encode() for level in Level),
]
_QUOTE = b'"'
_CONTROL = re.compile(r"[.\x00-\x1f\x7f]")
_PARTS = 7  # opening, id, middle, time, message's name, message, tail


@dataclass(frozen=True, slots=True)
class IndexName:
    """An index's or data stream's name, with the tag's markup for a container and `%Y`, `%m`, `%d` for a day."""

    template: Tag

    @classmethod
    def parse(cls, text: str) -> IndexName:
        """The template `text`. Raises ValueError saying what would have been right."""
        template = Tag.parse(text)
        literals = [part for part in template.parts if isinstance(part, str)]
        if not literals or template.parts[0] is not literals[0]:
            raise ValueError("a name that begins with letters of its own, such as docker-{{.Name}}")
        if any(found not in {"Y", "m", "d"} for part in literals for found in _DATE.findall(part)):
            raise ValueError("a name with no other dates than %Y, %m and %d")
        fixed = _DATE.sub("", "".join(literals))
        if _UNFIT.search(fixed) or fixed != fixed.lower() or fixed[:1] in {"-", "_", "+"}:
            raise ValueError('a name in lower case without blanks and without any of \\/*?"<>|,#:')
        return cls(template)

    @property
    def common(self) -> bool:
        """Whether no container has a say in it."""
        return all(isinstance(part, str) for part in self.template.parts)

    @property
    def dated(self) -> bool:
        """Whether it is another one each day."""
        return "%" in self.template.text

    def render(self, container: Container, day: int) -> str:
        """The name for a record of this container on that day, counted since the epoch, in UTC."""
        date = datetime.fromtimestamp(day * 86_400, UTC)
        name = "".join(
            date.strftime(part) if isinstance(part, str) else _UNFIT.sub("_", part(container).lower())
            for part in self.template.parts
        )
        return name.encode()[:_NAME_BYTES].decode(errors="ignore")

    def __str__(self) -> str:
        return str(self.template)


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done with each document; without `index` the request's path says where."""

    op: str = "create"
    index: IndexName | None = None
    routing: Tag | None = None


def bulk(batches: Sequence[Batch], action: Action) -> bytes:
    """The records as the body of a `_bulk` request; their ids are the documents'."""
    return b"".join(_records(batch, action) for batch in batches if len(batch))


def _records(batch: Batch, action: Action) -> bytes:
    parts: list[bytes] = [b"", b"", _MIDDLE, b"", _MESSAGE, b"", _tail(batch)] * len(batch)
    parts[0::_PARTS] = _openings(batch, action)
    parts[1::_PARTS] = batch.ids()
    parts[3::_PARTS] = batch.rfc3339()
    parts[5::_PARTS] = escaped(batch)
    if batch.levels or batch.fields:
        levels, fields = parsed(batch)
        logs = list(map(_LEVELS.__getitem__, levels))
        for row in batch.truncated:
            logs[row] = _TRUNCATED_LEVELS[levels[row]]
        rest, below = _tail(batch)[1:], Flattened(field_name)
        parts[6::_PARTS] = [
            b"%b%b%b%b" % (_QUOTE, log, _fields(below.values(text)), rest)
            for log, text in zip(logs, fields, strict=True)
        ]
        return b"".join(parts)
    for row in batch.truncated:
        parts[_PARTS * row + 6] = _QUOTE + _TRUNCATED + parts[_PARTS * row + 6][1:]
    return b"".join(parts)


def _fields(found: Mapping[str, Value]) -> bytes:
    """Parsed fields as a member of the document."""
    return b',"fields":' + orjson.dumps(found) if found else b""


@functools.lru_cache(maxsize=1024)
def field_name(name: str) -> str:
    """`name` of a parsed field as one below `fields`."""
    return _CONTROL.sub("_", name).strip() or "_"


def _openings(batch: Batch, action: Action) -> list[bytes]:
    """What stands before each id."""
    if action.index is None or not action.index.dated:
        return [_opening(batch.container, action, 0)] * len(batch)
    stamps = (
        batch.timestamps if batch.read_at is None else batch.read_at
    )  # so that no container makes any index
    days = [stamp // _DAY_NS for stamp in stamps]
    known = {day: _opening(batch.container, action, day) for day in set(days)}
    return list(map(known.__getitem__, days))


def _opening(container: Container, action: Action, day: int) -> bytes:
    key = ("elasticsearch action", action, day)
    opening = container.constants.get(key)
    if opening is None:
        meta = {
            "_index": action.index and action.index.render(container, day),
            "routing": action.routing and action.routing.render(container),
        }
        known = {name: value for name, value in meta.items() if value} | {"_id": ""}
        opening = container.constants[key] = orjson.dumps({action.op: known})[: -len(b'"}}')]
    return opening


def _tail(batch: Batch) -> bytes:
    """What follows the message, from its closing quote to the end of the line."""
    key = ("elasticsearch", batch.stream)
    tail = batch.container.constants.get(key)
    if tail is None:
        document = orjson.dumps({"stream": batch.stream.value} | _document(batch.container))
        tail = batch.container.constants[key] = b'",' + document[1:] + b"\n"
    return tail


def _service(container: Container) -> dict[str, str]:
    found = {"name": container.service or container.name, "id": container.swarm.get("service_id", "")}
    return {key: value for key, value in found.items() if value}


def _pod(of: Mapping[str, str]) -> dict[str, object]:
    """As Beats have it: ECS itself knows no pods."""
    pod = {"name": of.get("pod"), "uid": of.get("pod_uid")}
    found = {
        "namespace": of.get("namespace"),
        "pod": {key: value for key, value in pod.items() if value},
        "container": of.get("container") and {"name": of["container"]},
    }
    return {key: value for key, value in found.items() if value}


def _task(of: Mapping[str, str]) -> dict[str, object]:
    resource = {"type": "task", "name": of.get("task"), "id": of.get("task_id")}
    found = {key: value for key, value in resource.items() if value}
    return {"type": "swarm", "resource": found} if of else {}


def _document(container: Container) -> dict[str, object]:
    """What the documents of a container have in common; what is absent is left out."""
    name, tag = split_image(container.image)
    described: dict[str, object] = {
        "id": container.id,
        "name": container.name,
        "runtime": "docker",
        "image": {"name": name, "tag": [tag]} if tag else {"name": name},
        "labels": _dedotted(container.labels),
    }
    known: dict[str, object] = {
        "tags": container.tag and [container.tag],
        "labels": container.project and {"project": container.project},
        "service": _service(container),
        "kubernetes": _pod(container.kubernetes),
        "orchestrator": _task(container.swarm),
        "host": {"name": container.host},
        "container": {key: value for key, value in described.items() if value},
        "process": container.env and {"env_vars": [f"{key}={value}" for key, value in container.env.items()]},
        "ecs": {"version": ECS_VERSION},
    }
    return {key: value for key, value in known.items() if value}


def _dedotted(labels: Mapping[str, str]) -> dict[str, str]:
    """`labels` with names that are one field each; of two that become the same the first stays."""
    fields: dict[str, str] = {}
    for name, value in labels.items():
        fields.setdefault(name.replace(".", "_").strip() or "_", value)
    return fields
