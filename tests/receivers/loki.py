"""A strict Loki: decodes with the real protobuf runtime and a snappy of its own, and keeps Loki's rules.

Source: Loki's docs, "HTTP API" and "Request validation and rate-limit errors"; pkg/push/push.proto.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tests.receivers.received import Faulty, Received
from tests.receivers.web import Answer, Request, WebReceiver

PUSH = "/loki/api/v1/push"
LINE_BYTES = 256 * 1024
LABELS = 15
METADATA_PAIRS, METADATA_BYTES = 128, 64 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PAIR = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\\n]|\\.)*)"')


class LokiReceiver(WebReceiver):
    """Takes pushes. A line that is too long gives a 400; the other entries of that push are kept.

    tenant  what X-Scope-OrgID has to be; None: it must not be there
    """

    good = 204

    def __init__(
        self, *, tenant: str | None = None, authorization: str | None = None, most_bytes: int = 1 << 30
    ) -> None:
        super().__init__(authorization=authorization, most_bytes=most_bytes)
        self.tenant = tenant
        self.streams: set[tuple[tuple[str, str], ...]] = set()

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if (request.method, request.path) != ("POST", PUSH):
            raise Faulty(f"{request.method} {request.path}")
        if (
            request.headers["Content-Type"] != "application/x-protobuf"
            or "Content-Encoding" in request.headers
        ):
            raise Faulty(f"headers: {dict(request.headers)}")
        if request.headers.get("X-Scope-OrgID") != self.tenant:
            return [], Answer(401, "no org id")
        push = PushRequest()
        try:
            push.ParseFromString(unsnappy(request.body))
        except DecodeError as error:
            raise Faulty("no PushRequest") from error
        if not push.streams:
            return [], Answer(422, "error at least one valid stream is required for ingestion")
        records, long = [], 0
        for stream in push.streams:
            labels = read_labels(stream.labels)
            self.streams.add(tuple(sorted(labels.items())))
            for entry in stream.entries:
                if len(entry.line.encode()) > LINE_BYTES:
                    long += 1
                else:
                    records.append(read_entry(labels, entry))
        if long:
            self.inbox.add(records)
            return [], Answer(400, f"max entry size '{LINE_BYTES}' bytes exceeded for {long} entries")
        return records, Answer(self.good)


def read_labels(text: str) -> dict[str, str]:
    """The labels of a stream. Raises Faulty."""
    if not (text.startswith("{") and text.endswith("}")):
        raise Faulty(f"labels: {text}")
    pairs = _PAIR.findall(text)
    if ",".join(f'{name}="{value}"' for name, value in pairs) != text[1:-1]:
        raise Faulty(f"labels: {text}")
    labels = {name: _unquoted(value) for name, value in pairs}
    if not 0 < len(labels) == len(pairs) <= LABELS or "" in labels.values():
        raise Faulty(f"labels: {text}")
    return labels


def read_entry(labels: dict[str, str], entry: Any) -> Received:  # noqa: ANN401 - a class the protobuf runtime makes
    """One entry of a stream. Raises Faulty."""
    pairs = [(pair.name, pair.value) for pair in entry.structuredMetadata]
    metadata = dict(pairs)
    if len(metadata) != len(pairs) or metadata.keys() & labels.keys():
        raise Faulty(f"a name is there twice: {pairs}, {labels}")
    if len(pairs) > METADATA_PAIRS or sum(len(name) + len(value) for name, value in pairs) > METADATA_BYTES:
        raise Faulty(f"too much structured metadata: {len(pairs)} pairs")
    if not all(_NAME.fullmatch(name) for name in metadata):
        raise Faulty(f"names: {list(metadata)}")
    if not 0 <= entry.timestamp.nanos < 1_000_000_000:
        raise Faulty(f"nanos: {entry.timestamp.nanos}")
    has = {**labels, **metadata}
    known = {"container_id", "record_id", "service_name", "truncated", "level"}
    known |= {"stream", "container", "image", "host", "tag", "project", "service"}
    return Received(
        message=entry.line,
        timestamp_ns=entry.timestamp.seconds * 1_000_000_000 + entry.timestamp.nanos,
        stream=has["stream"],
        container=has["container"],
        container_id=has["container_id"],
        image=has["image"],
        host=has["host"],
        tag=has["tag"],
        project=has.get("project"),
        service=has.get("service"),
        labels={name: value for name, value in has.items() if name not in known},
        truncated=has.get("truncated") == "true",
        level=has.get("level"),
        id=has["record_id"],
    )


def _unquoted(text: str) -> str:
    r"""A Go string without its quotes; JSON knows all its escapes but `\x`."""
    plain = re.sub(
        r"\\(?:x([0-9a-f]{2})|.)", lambda match: f"\\u00{match[1]}" if match[1] else match[0], text
    )
    return str(json.loads(f'"{plain}"'))


def unsnappy(data: bytes) -> bytes:
    """Decode snappy's block format (google/snappy format_description.txt). Raises Faulty."""
    size, at = _uvarint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, upper = tag & 3, tag >> 2
        if kind == 0:
            extra = max(0, upper - 59)
            length = (int.from_bytes(data[at : at + extra], "little") if extra else upper) + 1
            at += extra
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, offset, step = (upper & 7) + 4, (upper >> 3) << 8 | data[at], 1
        else:
            step = 2 if kind == 2 else 4
            length, offset = upper + 1, int.from_bytes(data[at : at + step], "little")
        at += step
        if not 0 < offset <= len(out):
            raise Faulty("a copy from before the beginning")
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise Faulty(f"{size} bytes announced, {len(out)} there")
    return bytes(out)


def _uvarint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _push_request() -> Callable[[], Any]:
    """The class PushRequest, made by the protobuf runtime from push.proto's messages."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="logproto", syntax="proto3")
    messages: dict[str, list[tuple[int, str, type | str]]] = {
        "PushRequest": [(1, "streams", "StreamAdapter")],
        "StreamAdapter": [(1, "labels", str), (2, "entries", "EntryAdapter"), (3, "hash", int)],
        "EntryAdapter": [
            (1, "timestamp", "Timestamp"),
            (2, "line", str),
            (3, "structuredMetadata", "LabelPair"),
        ],
        "LabelPair": [(1, "name", str), (2, "value", str)],
        "Timestamp": [(1, "seconds", int), (2, "nanos", int)],
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            made = message.field.add(number=number, name=field, label=kinds.LABEL_OPTIONAL)
            if isinstance(kind, str):
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".logproto.{kind}"
                made.label = kinds.LABEL_OPTIONAL if field == "timestamp" else kinds.LABEL_REPEATED
            else:
                made.type = kinds.TYPE_STRING if kind is str else kinds.TYPE_INT64
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("logproto.PushRequest")
    return message_factory.GetMessageClass(found)


PushRequest = _push_request()
