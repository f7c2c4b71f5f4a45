"""OTLP's ExportLogsServiceRequest, in JSON: whole columns, as `ndjson` does it.

Source: OTLP specification, "JSON Protobuf Encoding": names in lowerCamelCase, 64-bit numbers as decimal strings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

import agent
from agent.batch import Batch, Container
from agent.encode.otlp import (
    IOSTREAM,
    RECORD_ID,
    SCOPE,
    SEVERITIES,
    TRUNCATED,
    Attributes,
    Value,
    own,
    resource,
)
from agent.encode.utf8 import escaped

_OPEN = b'{"timeUnixNano":"'
_CLOSE = b'"}}]}'
_BODY, _ATTRIBUTES = b'"}', b',"attributes":['
_PARTS = 6  # close and open, time, from there to the line, line, attributes, id


def logs_request(batches: Sequence[Batch], attributes: Attributes = (), *, observed_ns: int) -> bytes:
    """The records as the body of a request; see `agent.encode.otlp.logs_request`."""
    resources: dict[bytes, list[bytes]] = {}
    for batch in batches:
        if len(batch):
            key = _resource(batch.container, attributes)
            resources.setdefault(key, []).append(_records(batch, observed_ns))
    scope = orjson.dumps({"name": SCOPE, "version": agent.__version__})
    logs = (
        b'{"resource":%b,"scopeLogs":[{"scope":%b,"logRecords":[%b]}]}' % (key, scope, b",".join(records))
        for key, records in resources.items()
    )
    return b'{"resourceLogs":[%b]}' % b",".join(logs)


def _resource(container: Container, attributes: Attributes) -> bytes:
    key = ("otlp json", attributes)
    encoded = container.constants.get(key)
    if encoded is None:
        pairs = [_pair(name, value) for name, value in resource(container, attributes).items()]
        encoded = container.constants[key] = orjson.dumps({"attributes": pairs})
    return encoded


def _pair(name: str, value: Value) -> dict[str, object]:
    return {"key": name, "value": _any(value)}


def _any(value: Value) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case tuple():
            return {"arrayValue": {"values": [_any(each) for each in value]}}


def _records(batch: Batch, observed_ns: int) -> bytes:
    """The LogRecords with a comma between them."""
    middle = b'","observedTimeUnixNano":"%d","body":{"stringValue":"' % observed_ns
    plain, marked = _attributes(batch), _attributes(batch, (TRUNCATED, True))
    parts: list[bytes] = [_CLOSE + b"," + _OPEN, b"", middle, b"", plain, b""] * len(batch)
    parts[0] = _OPEN
    parts[1::_PARTS] = orjson.dumps(list(batch.timestamps))[1:-1].split(b",")
    parts[3::_PARTS] = escaped(batch)
    parts[5::_PARTS] = batch.ids()
    for row in batch.truncated:
        parts[_PARTS * row + 4] = marked
    if batch.levels or batch.fields:
        # Between the body and its attributes, and after the bracket that opens these.
        parts[4::_PARTS] = [
            b"%b%b%b%b%b" % (_BODY, members, _ATTRIBUTES, attributes, after[len(_BODY + _ATTRIBUTES) :])
            for (members, attributes), after in zip(_own(batch), parts[4::_PARTS], strict=True)
        ]
    parts.append(_CLOSE)
    return b"".join(parts)


def _own(batch: Batch) -> Iterator[tuple[bytes, bytes]]:
    """Of each LogRecord the members that differ from record to record, and its attributes."""
    if batch.fields is None:
        yield from ((_LEVELS[level], b"") for level in batch.levels or b"")
        return
    for level, found in own(batch):
        ids = b',"traceId":"%b"' % found.trace_id.encode() if found.trace_id else b""
        ids += b',"spanId":"%b"' % found.span_id.encode() if found.span_id else b""
        pairs = [_pair(name, value) for name, value in found.attributes.items()]
        yield _LEVELS[level] + ids, orjson.dumps(pairs)[1:-1] + b"," if pairs else b""


def _attributes(batch: Batch, *more: tuple[str, Value]) -> bytes:
    """From the line's closing quote to the opening quote of the id."""
    named = [(IOSTREAM, batch.stream.value), *more, (RECORD_ID, "")]
    pairs = orjson.dumps([_pair(name, value) for name, value in named])
    return _BODY + b',"attributes":' + pairs.removesuffix(_CLOSE[:-1])


_LEVELS = [
    b"",
    *(
        b',"severityNumber":%d,"severityText":"%b"' % (number, level.text.encode())
        for level, number in SEVERITIES.items()
    ),
]
