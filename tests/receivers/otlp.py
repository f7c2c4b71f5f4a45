"""A strict OTLP receiver: decodes with the classes of opentelemetry-proto, protobuf and JSON, as a Collector does.

Source: OTLP specification, "OTLP/HTTP"; opentelemetry-collector, receiver/otlpreceiver; semantic conventions,
"Container", "Host", "Service", "General logs attributes".
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Any, TypeAlias

import cramjam
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.receivers.received import Faulty, Received, in_order
from tests.receivers.web import Answer, Request, WebReceiver

Value: TypeAlias = str | list[str] | bool | int | float

LOGS = "/v1/logs"
BODY_BYTES = 20 * 1024 * 1024
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_RESOURCE = {"service.name", "service.namespace", "host.name", "container.id", "container.name"}
_RESOURCE |= {"container.runtime.name", "container.image.name", "container.image.tags", "container.image.id"}
_RESOURCE |= {"dockferry.tag"}
_OF_THE_RECORD = {"log.iostream", "log.record.uid", "dockferry.truncated"}
#: By SeverityNumber, the text that has to go with it.
LEVELS = {0: "", 1: "trace", 5: "debug", 9: "info", 10: "notice", 13: "warning", 17: "error"}
LEVELS |= {21: "critical", 22: "alert", 23: "emergency"}
_LABEL, _VARIABLE = "container.label.", "process.environment_variable."


class OtlpReceiver(WebReceiver):
    """Takes logs, and answers in what it was asked in.

    partial   what it says of the next requests with records: how many it rejects, and why
    resource  attributes that every resource has to have besides
    """

    def __init__(self, *, authorization: str | None = None, most_bytes: int = 1 << 30) -> None:
        super().__init__(authorization=authorization, most_bytes=most_bytes)
        self.partial: deque[tuple[int, str]] = deque()
        self.resource: dict[str, str] = {}

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if (request.method, request.path) != ("POST", LOGS):
            raise Faulty(f"{request.method} {request.path}")
        kind = request.headers["Content-Type"]
        asked = decode(kind, _decompressed(request))
        records = []
        for logs in asked.resource_logs:
            shared = _attributes(logs.resource.attributes)
            if not self.resource.items() <= shared.items():
                raise Faulty(f"resource: {shared}")
            for name in self.resource:
                del shared[name]
            for scoped in logs.scope_logs:
                if scoped.scope.name != "dockferry" or not scoped.scope.version or not scoped.log_records:
                    raise Faulty(f"scope: {scoped.scope}")
                records += [read_record(shared, record) for record in scoped.log_records]
        answer = ExportLogsServiceResponse()
        if records and self.partial:
            rejected, message = self.partial.popleft()
            said = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
            answer.partial_success.CopyFrom(said)
            records = records[rejected:]
        return records, _answer(kind, answer)


def decode(kind: str, body: bytes) -> ExportLogsServiceRequest:
    """What `body` says. Raises Faulty where it is no such message, or has fields that are not known."""
    asked = ExportLogsServiceRequest()
    try:
        match kind:
            case "application/x-protobuf":
                asked.ParseFromString(body)
            case "application/json":
                said = json.loads(body.decode("utf-8", errors="strict"), object_pairs_hook=in_order)
                json_format.ParseDict(_with_ids(said), asked)
            case _:
                raise Faulty(f"Content-Type: {kind}")
    except (DecodeError, json_format.ParseError) as error:
        raise Faulty(f"no request: {error}") from error
    _check_known(asked)
    return asked


def _with_ids(said: dict[str, Any]) -> dict[str, Any]:
    """The same with ids as protobuf's own JSON has them, base64; OTLP writes them in hex digits."""
    for logs in said.get("resourceLogs", ()):
        for record in (record for scoped in logs["scopeLogs"] for record in scoped["logRecords"]):
            for name in record.keys() & {"traceId", "spanId"}:
                record[name] = base64.b64encode(bytes.fromhex(record[name])).decode()
    return said


def read_record(shared: dict[str, Value], record: LogRecord) -> Received:
    """One record of a resource with these attributes. Raises Faulty."""
    if unknown := {name for name in shared if not name.startswith((_LABEL, _VARIABLE))} - _RESOURCE:
        raise Faulty(f"no such attributes: {unknown}")
    own = _attributes(record.attributes)
    if record.body.WhichOneof("value") != "string_value" or record.observed_time_unix_nano < 1 << 60:
        raise Faulty(f"body or time: {record}")
    if LEVELS[record.severity_number] != record.severity_text or shared["container.runtime.name"] != "docker":
        raise Faulty(f"said without knowing: {record}")
    if (len(record.trace_id), len(record.span_id)) not in {(0, 0), (16, 0), (0, 8), (16, 8)}:
        raise Faulty(f"ids: {record}")
    ids = {"trace_id": record.trace_id.hex(), "span_id": record.span_id.hex()}
    fields = {name: value for name, value in own.items() if name not in _OF_THE_RECORD}
    tags = shared.get("container.image.tags", [])
    assert isinstance(tags, list)
    return Received(
        message=record.body.string_value,
        timestamp_ns=record.time_unix_nano,
        stream=str(own["log.iostream"]),
        container=str(shared["container.name"]),
        container_id=str(shared["container.id"]),
        image=":".join([str(shared["container.image.name"]), *tags]),
        host=str(shared["host.name"]),
        tag=str(shared["dockferry.tag"]),
        project=str(shared["service.namespace"]) if "service.namespace" in shared else None,
        service=str(shared["service.name"]),
        labels={name[len(_LABEL) :]: str(value) for name, value in shared.items() if name.startswith(_LABEL)},
        truncated=own.get("dockferry.truncated") is True,
        level=record.severity_text or None,
        fields=fields | {name: value for name, value in ids.items() if value},
        id=str(own["log.record.uid"]),
    )


def status(kind: str, message: str) -> bytes:
    """A google.rpc.Status with this message, as a body."""
    text = message.encode()
    return b"\x08\x03\x12" + bytes((len(text),)) + text if kind == PROTOBUF else b'{"message":"%b"}' % text


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in pairs:
        if pair.key in found or not pair.key:
            raise Faulty(f"attribute {pair.key!r} is there twice, or has no name")
        found[pair.key] = _value(pair.value)
    return found


def _value(value: AnyValue) -> Value:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "array_value":
            return [each.string_value for each in value.array_value.values]
        case other:
            raise Faulty(f"a value of kind {other}")


def _check_known(message: Message) -> None:
    if len(UnknownFieldSet(message)):
        raise Faulty(f"unknown fields in {message.DESCRIPTOR.full_name}")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                _check_known(each)


def _decompressed(request: Request) -> bytes:
    match request.headers.get("Content-Encoding"):
        case None:
            body = request.body
        case "gzip":
            body = zlib.decompress(request.body, wbits=31)
        case "zstd":
            body = bytes(cramjam.zstd.decompress(request.body))
        case other:
            raise Faulty(f"Content-Encoding: {other}")
    if len(body) > BODY_BYTES:
        raise Faulty(f"http: request body too large: {len(body)}")
    return body


def _answer(kind: str, answer: ExportLogsServiceResponse) -> Answer:
    body = answer.SerializeToString() if kind == PROTOBUF else json_format.MessageToJson(answer).encode()
    return Answer(200, body.decode("ascii"), headers={"Content-Type": kind})
