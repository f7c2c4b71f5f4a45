"""OTLP's ExportLogsServiceRequest, in protobuf. `otlp_json` is the same in JSON.

Source: opentelemetry-proto, logs.proto and common.proto; the structure is

    ExportLogsServiceRequest { 1: repeated ResourceLogs }
    ResourceLogs { 1: Resource { 1: repeated KeyValue }, 2: repeated ScopeLogs }
    ScopeLogs { 1: Scope { 1: name, 2: version }, 2: repeated LogRecord }
    LogRecord { 1: fixed64 time, 5: AnyValue body, 6: repeated KeyValue, 11: fixed64 observed time }
    KeyValue { 1: key, 2: AnyValue }      AnyValue { 1: string, 2: bool, 5: ArrayValue { 1: repeated AnyValue } }

Names are those of the semantic conventions: what is a container's is an attribute of the resource.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import agent
from agent.batch import Batch, Container, Stream
from agent.encode.image import split_image
from agent.encode.protobuf import field, head
from agent.encode.utf8 import cleaned

Value: TypeAlias = str | bool | tuple[str, ...]

SCOPE = "dockferry"
IOSTREAM = "log.iostream"
RECORD_ID = "log.record.uid"
TRUNCATED = "dockferry.truncated"  # the conventions have no name for it, nor for the tag

_TIME, _OBSERVED, _BODY, _ATTRIBUTE = b"\x09", b"\x59", 5, 6
_fixed64 = struct.Struct("<Q").pack
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
            return field(1, value.encode())
        case tuple():
            return field(5, b"".join(field(1, _any(each)) for each in value))


def _records(batch: Batch, observed_ns: int) -> bytes:
    """Every record as a field 2 of ScopeLogs."""
    lines, ids = cleaned(batch), batch.ids()
    times = list(map(_fixed64, batch.timestamps))
    observed = _OBSERVED + _fixed64(observed_ns)
    plain = _ATTRIBUTES[batch.stream]
    marked = plain + field(_ATTRIBUTE, _pair(TRUNCATED, True))
    parts: list[bytes] = []
    for start, stop in _runs(ids, batch.truncated):
        constant = marked if start in batch.truncated else plain
        parts += _run(times[start:stop], lines[start:stop], constant, ids[start:stop], observed)
    return b"".join(parts)


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
    times: Sequence[bytes], lines: Sequence[bytes], constant: bytes, ids: Sequence[bytes], observed: bytes
) -> list[bytes]:
    """The rows of one run, column by column."""
    named = field(_ATTRIBUTE, _pair(RECORD_ID, ids[0].decode()))
    constant += named[: -len(ids[0])]
    rest = len(_TIME + times[0] + constant + ids[0] + observed)
    sizes = list(map(len, lines))
    bodies = {size: head(_BODY, len(head(1, size)) + size) + head(1, size) for size in set(sizes)}
    openings = {size: observed + head(2, rest + len(body) + size) + _TIME for size, body in bodies.items()}
    parts = [constant] * (_PARTS * len(lines))
    parts[0::_PARTS] = map(openings.__getitem__, sizes)
    parts[0] = parts[0].removeprefix(observed)
    parts[1::_PARTS] = times
    parts[2::_PARTS] = map(bodies.__getitem__, sizes)
    parts[3::_PARTS] = lines
    parts[5::_PARTS] = ids
    parts.append(observed)
    return parts


_ATTRIBUTES = {stream: field(_ATTRIBUTE, _pair(IOSTREAM, stream.value)) for stream in Stream}
