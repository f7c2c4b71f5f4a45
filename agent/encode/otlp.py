"""OTLP's ExportLogsServiceRequest, in protobuf. `otlp_json` is the same in JSON.

Source: opentelemetry-proto, logs.proto and common.proto; the structure is

    ExportLogsServiceRequest { 1: repeated ResourceLogs }
    ResourceLogs { 1: Resource { 1: repeated KeyValue }, 2: repeated ScopeLogs }
    ScopeLogs { 1: Scope { 1: name, 2: version }, 2: repeated LogRecord }
    LogRecord { 1: fixed64 time, 2: severity number, 3: severity text, 5: AnyValue body, 6: repeated KeyValue,
                9: trace id, 10: span id, 11: fixed64 observed time }
    KeyValue { 1: key, 2: AnyValue }
    AnyValue { 1: string, 2: bool, 3: int, 4: double, 5: ArrayValue { 1: repeated AnyValue } }

Names are those of the semantic conventions: what is a container's is an attribute of the resource. Parsed fields are
attributes of the record, those that hold a trace's and a span's id what they are.
"""

from __future__ import annotations

import functools
import itertools
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import TypeAlias

import agent
from agent.batch import Batch, Container, Stream
from agent.encode.fields import Flattened, parsed
from agent.encode.fields import Value as Scalar
from agent.encode.image import split_image
from agent.encode.protobuf import field, head, varint
from agent.encode.utf8 import cleaned
from agent.level import Level

Value: TypeAlias = str | bool | int | float | tuple[str, ...]

SCOPE = "dockferry"
IOSTREAM = "log.iostream"
RECORD_ID = "log.record.uid"
TRUNCATED = "dockferry.truncated"  # the conventions have no name for it, nor for the tag

#: "Mapping of SeverityNumber", by our levels; of `critical`, which may have been `fatal`, as the SDKs have it.
SEVERITIES: Mapping[Level, int] = dict(zip(Level, (1, 5, 9, 10, 13, 17, 21, 22, 23), strict=True))

_TIME, _OBSERVED, _BODY, _ATTRIBUTE = b"\x09", b"\x59", 5, 6
_fixed64, _double = struct.Struct("<Q").pack, struct.Struct("<d").pack
_64_BITS = (1 << 64) - 1
_POD = {
    "namespace": "k8s.namespace.name",
    "pod": "k8s.pod.name",
    "pod_uid": "k8s.pod.uid",
    "container": "k8s.container.name",
}
#: The conventions know no Swarm.
_TASK = {
    "service_id": "docker.swarm.service.id",
    "task": "docker.swarm.task.name",
    "task_id": "docker.swarm.task.id",
    "node_id": "docker.swarm.node.id",
}
_HEX = re.compile(r"[0-9a-fA-F]+")
_TAKEN = {IOSTREAM, RECORD_ID, TRUNCATED}
_TRACE_ID, _SPAN_ID = 9, 10
_TRACE_IDS, _SPAN_IDS = ("trace_id", "traceId", "trace.id"), ("span_id", "spanId", "span.id")
_PARTS = 6  # observed time of the last and opening of this, time, body's head, line, attributes, id

#: Attributes of the user's own, beside those of each container.
Attributes: TypeAlias = tuple[tuple[str, str], ...]


def logs_request(batches: Sequence[Batch], attributes: Attributes = (), *, observed_ns: int) -> bytes:
    """The records as the body of a request: one ResourceLogs for each container.

    observed_ns  when the agent has, or had, them
    """
    resources: dict[bytes, list[bytes]] = {}
    for batch in batches:
        key = _resource(batch.container, attributes)
        resources.setdefault(key, []).append(_records(batch, observed_ns))
    scope = field(1, field(1, SCOPE.encode()) + field(2, agent.__version__.encode()))
    parts: list[bytes] = []
    for resource, records in resources.items():
        scope_head = head(2, len(scope) + sum(map(len, records)))
        size = len(resource) + len(scope_head) + len(scope) + sum(map(len, records))
        parts += [head(1, size), resource, scope_head, scope, *records]
    return b"".join(parts)


def resource(container: Container, attributes: Attributes) -> Mapping[str, Value]:
    """What the records of a container have in common, by the conventions' names; absent ones are left out."""
    name, tag = split_image(container.image)
    known: dict[str, Value | None] = {
        "service.name": container.service or container.name,
        "service.namespace": container.project,
        "host.name": container.host,
        "container.id": container.id,
        "container.name": container.name,
        "container.runtime.name": "docker",
        "container.image.name": name,
        "container.image.tags": (tag,) if tag else None,
        "container.image.id": container.image_id,
        "dockferry.tag": container.tag,
        **{ours: container.kubernetes.get(name) for name, ours in _POD.items()},
        **{ours: container.swarm.get(name) for name, ours in _TASK.items()},
    }
    found = {key: value for key, value in known.items() if value}
    found |= {f"container.label.{key}": value for key, value in container.labels.items()}
    found |= {f"process.environment_variable.{key}": value for key, value in container.env.items()}
    return found | dict(attributes)


def _resource(container: Container, attributes: Attributes) -> bytes:
    """The Resource as field 1 of ResourceLogs."""
    key = ("otlp", attributes)
    encoded = container.constants.get(key)
    if encoded is None:
        pairs = resource(container, attributes).items()
        encoded = field(1, b"".join(field(1, _pair(name, value)) for name, value in pairs))
        container.constants[key] = encoded
    return encoded


def _pair(name: str, value: Value) -> bytes:
    return field(1, name.encode()) + field(2, _any(value))


def _any(value: Value) -> bytes:
    match value:
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case str():
            text = value.encode()
            return _text_head(len(text)) + text
        case int():
            return b"\x18" + varint(value & _64_BITS)
        case float():
            return b"\x21" + _double(value)
        case tuple():
            return field(5, b"".join(field(1, _any(each)) for each in value))


def _records(batch: Batch, observed_ns: int) -> bytes:
    """Every record as a field 2 of ScopeLogs."""
    lines, ids = cleaned(batch), batch.ids()
    times = list(map(_fixed64, batch.timestamps))
    observed = _OBSERVED + _fixed64(observed_ns)
    plain = _ATTRIBUTES[batch.stream]
    marked = plain + field(_ATTRIBUTE, _pair(TRUNCATED, True))
    more = _own(batch) if batch.levels or batch.fields else None
    parts: list[bytes] = []
    for start, stop in _runs(ids, batch.truncated):
        run = slice(start, stop)
        constant = marked if start in batch.truncated else plain
        parts += _run(times[run], lines[run], constant, ids[run], observed, more=more and more[run])
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Own:
    """What a record's parsed fields are: ids as hex digits, empty where there are none."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Value]


def own(batch: Batch) -> Iterator[tuple[int, Own]]:
    """Each row's level, and what becomes of its `Batch.fields`."""
    flattened = Flattened(str, _TAKEN)
    for level, fields in zip(*parsed(batch), strict=True):
        attributes, text = flattened.values(fields), fields or b""
        trace_id = _taken_id(attributes, _TRACE_IDS, 32) if b"trace" in text else ""
        span_id = _taken_id(attributes, _SPAN_IDS, 16) if b"span" in text else ""
        yield level, Own(trace_id, span_id, attributes)


def _taken_id(attributes: dict[str, Scalar], names: Sequence[str], digits: int) -> str:
    """The first of these that is an id, which is then no attribute."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and len(value) == digits and _HEX.fullmatch(value) and value.strip("0"):
            del attributes[name]
            return value.lower()
    return ""


def _own(batch: Batch) -> list[bytes]:
    """Of each LogRecord the fields that differ from record to record."""
    if batch.fields is None:
        return list(map(_LEVELS.__getitem__, batch.levels or b""))
    return [_LEVELS[level] + _fields(found) for level, found in own(batch)]


def _fields(found: Own) -> bytes:
    parts: list[bytes] = []
    for name, value in found.attributes.items():
        known, said = _name_field(name), _any(value)
        about = _value_head(len(said))
        parts += [_attribute_head(len(known) + len(about) + len(said)), known, about, said]
    if found.trace_id:
        parts.append(field(_TRACE_ID, bytes.fromhex(found.trace_id)))
    if found.span_id:
        parts.append(field(_SPAN_ID, bytes.fromhex(found.span_id)))
    return b"".join(parts)


_attribute_head = functools.lru_cache(maxsize=4096)(functools.partial(head, _ATTRIBUTE))
_text_head = functools.lru_cache(maxsize=4096)(functools.partial(head, 1))
_value_head = functools.lru_cache(maxsize=4096)(functools.partial(head, 2))


@functools.lru_cache(maxsize=1024)
def _name_field(name: str) -> bytes:
    return field(1, name.encode())


def _runs(ids: Sequence[bytes], truncated: frozenset[int]) -> Iterator[tuple[int, int]]:
    """From where to where rows differ in size by their lines alone; mostly that is all of a batch."""
    if ids and not truncated and len(set(map(len, ids))) == 1:
        yield 0, len(ids)
        return
    stop = 0
    for _, rows in itertools.groupby(range(len(ids)), lambda row: (len(ids[row]), row in truncated)):
        start, stop = stop, stop + sum(1 for _ in rows)
        yield start, stop


def _run(
    times: Sequence[bytes],
    lines: Sequence[bytes],
    constant: bytes,
    ids: Sequence[bytes],
    observed: bytes,
    *,
    more: Sequence[bytes] | None,
) -> list[bytes]:
    """The rows of one run, column by column. `more`: fields of each row's own."""
    named = field(_ATTRIBUTE, _pair(RECORD_ID, ids[0].decode()))
    constant += named[: -len(ids[0])]
    rest = len(_TIME + times[0] + constant + ids[0] + observed)
    sizes = list(map(len, lines))
    bodies = {size: head(_BODY, len(head(1, size)) + size) + head(1, size) for size in set(sizes)}
    parts = [constant] * (_PARTS * len(lines))
    if more is None:
        openings = {
            size: observed + head(2, rest + len(body) + size) + _TIME for size, body in bodies.items()
        }
        parts[0::_PARTS] = map(openings.__getitem__, sizes)
    else:
        spans = list(map(add, map(len, map(bodies.__getitem__, sizes)), map(add, sizes, map(len, more))))
        wider = {span: observed + head(2, rest + span) + _TIME for span in set(spans)}
        parts[0::_PARTS] = map(wider.__getitem__, spans)
        parts[4::_PARTS] = [each + constant for each in more]
    parts[0] = parts[0].removeprefix(observed)
    parts[1::_PARTS] = times
    parts[2::_PARTS] = map(bodies.__getitem__, sizes)
    parts[3::_PARTS] = lines
    parts[5::_PARTS] = ids
    parts.append(observed)
    return parts


_LEVELS = [
    b"",
    *(b"\x10%c%b" % (number, field(3, level.text.encode())) for level, number in SEVERITIES.items()),
]
_ATTRIBUTES = {stream: field(_ATTRIBUTE, _pair(IOSTREAM, stream.value)) for stream in Stream}
