"""A strict OTLP receiver: decodes with the classes of opentelemetry-proto, protobuf and JSON, as a Collector does.

Source: OTLP specification, "OTLP/HTTP"; opentelemetry-collector, receiver/otlpreceiver; semantic conventions,
"Container", "Host", "Service", "General logs attributes".
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable

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

from tests.receivers.received import Faulty, Received
from tests.receivers.web import Answer, Request, WebReceiver

LOGS = "/v1/logs"
BODY_BYTES = 20 * 1024 * 1024
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_RESOURCE = {"service.name", "service.namespace", "host.name", "container.id", "container.name"}
_RESOURCE |= {"container.runtime.name", "container.image.name", "container.image.tags", "container.image.id"}
_RESOURCE |= {"dockferry.tag"}
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
                json_format.Parse(body.decode("utf-8", errors="strict"), asked)
            case _:
                raise Faulty(f"Content-Type: {kind}")
    except (DecodeError, json_format.ParseError) as error:
        raise Faulty(f"no request: {error}") from error
    _check_known(asked)
    return asked


def read_record(shared: dict[str, str | list[str] | bool], record: LogRecord) -> Received:
    """One record of a resource with these attributes. Raises Faulty."""
    if unknown := {name for name in shared if not name.startswith((_LABEL, _VARIABLE))} - _RESOURCE:
        raise Faulty(f"no such attributes: {unknown}")
    own = _attributes(record.attributes)
    if own.keys() - {"dockferry.truncated"} != {"log.iostream", "log.record.uid"}:
        raise Faulty(f"attributes: {own}")
    if record.body.WhichOneof("value") != "string_value" or record.observed_time_unix_nano < 1 << 60:
        raise Faulty(f"body or time: {record}")
    if record.severity_number or record.trace_id or shared["container.runtime.name"] != "docker":
        raise Faulty(f"said without knowing: {record}")
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
        id=str(own["log.record.uid"]),
    )


def status(kind: str, message: str) -> bytes:
    """A google.rpc.Status with this message, as a body."""
    text = message.encode()
    return b"\x08\x03\x12" + bytes((len(text),)) + text if kind == PROTOBUF else b'{"message":"%b"}' % text


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str | list[str] | bool]:
    found: dict[str, str | list[str] | bool] = {}
    for pair in pairs:
        if pair.key in found or not pair.key:
            raise Faulty(f"attribute {pair.key!r} is there twice, or has no name")
        found[pair.key] = _value(pair.value)
    return found


def _value(value: AnyValue) -> str | list[str] | bool:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
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
