"""otlp+http, otlp+https: logs by OpenTelemetry's protocol, to a Collector or whatever speaks it.

Source: OTLP specification, "OTLP/HTTP Response": 429, 502, 503 and 504 may be sent again and nothing else may; a
`partial_success` says how many records were rejected, and not which: so nothing of that request is sent again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from agent.batch import Batch
from agent.encode import otlp, otlp_json
from agent.encode.compress import METHODS
from agent.encode.protobuf import fields
from agent.options import Kind, MiB, choice, option
from agent.sinks.base import Delivered, Limits, Outcome, Refused, Retry, Target
from agent.sinks.over_http import HttpOptions, HttpSink
from agent.transport.http import Reply, Request

log = logging.getLogger(__name__)
LOGS = "/v1/logs"
_PROTOBUF = "application/x-protobuf"
_CONTENT_TYPES = {"protobuf": _PROTOBUF, "json": "application/json"}
_TRANSIENT = {429, 502, 503, 504}


def _attributes(text: str) -> otlp.Attributes:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("a list such as deployment.environment.name=prod,team=shop")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


#: Written as in OTEL_RESOURCE_ATTRIBUTES.
ATTRIBUTES: Kind[otlp.Attributes] = Kind(
    "name=value,name=value", _attributes, lambda pairs: ",".join(map("=".join, pairs))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpOptions(HttpOptions):
    """The options of `otlp+http://` and `otlp+https://`."""

    encoding: str = option(choice(*_CONTENT_TYPES), "protobuf", help="how the records are written")
    compress: str = option(choice(*METHODS), "gzip", help="compression of the body")
    resource: otlp.Attributes = option(
        ATTRIBUTES,
        (),
        help="attributes for every container's resource, as in OTEL_RESOURCE_ATTRIBUTES",
        example="deployment.environment.name=prod",
    )


class OtlpSink(HttpSink[OtlpOptions]):
    """OpenTelemetry: a Collector, or whatever takes OTLP."""

    limits = Limits(request_bytes=16 * MiB)
    most_bytes = 20 * MiB  # a Collector's max_request_body_size; beyond it answers 400

    def __init__(self, target: Target, options: OtlpOptions) -> None:
        super().__init__(target, options)
        self._said = ""

    def encode(self, batches: Sequence[Batch]) -> Request:
        write = otlp_json.logs_request if self.options.encoding == "json" else otlp.logs_request
        return self._post(write(batches, self.options.resource, observed_ns=time.time_ns()))

    def judge(self, reply: Reply) -> Outcome:
        outcome = super().judge(replace(reply, body=_message(reply).encode()))
        if isinstance(outcome, Delivered):
            return self._accepted(reply)
        if isinstance(outcome, Retry) and reply.status not in _TRANSIENT:
            return Refused(outcome.why, isolate=False)
        return outcome

    def question(self) -> Request:
        """A request without records, which every receiver has to take."""
        return self._post(b"{}" if self.options.encoding == "json" else b"")

    def _accepted(self, reply: Reply) -> Outcome:
        rejected, message = _partial_success(reply)
        if rejected:
            return Refused(f"it rejected {rejected} records of the request: {message}", isolate=False)
        if message and message != self._said:
            log.warning("sink %s takes all records and warns: %s", self.target.name, message)
        self._said = message
        return Delivered()

    def _post(self, body: bytes) -> Request:
        headers = {"Content-Type": _CONTENT_TYPES[self.options.encoding]}
        if body and self.options.compress != "none":
            headers["Content-Encoding"] = self.options.compress
        path = self.target.path if self.target.path.strip("/") else LOGS
        return Request("POST", path, headers, body, self.options.compress if body else "none")


def _partial_success(reply: Reply) -> tuple[int, str]:
    """How many records were rejected, and what was said. A reply that is no OTLP says nothing."""
    try:
        if _is_protobuf(reply):
            partial = dict(fields(_bytes(dict(fields(reply.body)).get(1))))
            rejected, message = partial.get(1, 0), _bytes(partial.get(2)).decode(errors="replace")
        else:
            said = orjson.loads(reply.body)["partialSuccess"]
            rejected, message = said.get("rejectedLogRecords", 0), str(said.get("errorMessage", ""))
        return int(rejected), " ".join(message[:500].split())
    except (ValueError, TypeError, LookupError, AttributeError):
        return 0, ""


def _message(reply: Reply) -> str:
    """What a refusal says: the message of its google.rpc.Status, or its text where it is none."""
    try:
        if _is_protobuf(reply):
            return " ".join(_bytes(dict(fields(reply.body)).get(2)).decode(errors="replace").split())
        return str(orjson.loads(reply.body)["message"])
    except (ValueError, TypeError, LookupError):
        return reply.text


def _is_protobuf(reply: Reply) -> bool:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower() == _PROTOBUF


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""
