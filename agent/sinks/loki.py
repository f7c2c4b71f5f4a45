"""loki+http, loki+https: Grafana Loki's push API.

Source: Loki's docs, "HTTP API" and "Request validation and rate-limit errors". A 400 says that some entries broke a
rule (too long, too old), and that those which broke none were stored: so nothing of it is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.loki import DEFAULT_LABELS, push_request
from agent.errors import SettingsError
from agent.options import TEXT, WORDS, MiB, option, optional
from agent.sinks.base import Delivered, Limits, Misconfigured, Outcome, Refused, Target
from agent.sinks.over_http import HttpOptions, HttpSink
from agent.transport.http import Reply, Request

PUSH = "/loki/api/v1/push"
INGESTION_BLOCKED = 260
MOST_LABELS = 14  # Loki takes 15, and service_name is one


@dataclass(frozen=True, slots=True, kw_only=True)
class LokiOptions(HttpOptions):
    """The options of `loki+http://` and `loki+https://`."""

    tenant: str | None = option(optional(TEXT), None, help="X-Scope-OrgID, where Loki has several tenants")
    labels: tuple[str, ...] = option(
        WORDS,
        DEFAULT_LABELS,
        help="what makes a stream: host, project, service, container, stream, image, tag, or names of container "
        "labels. Few and bounded; service_name is always sent, all else becomes structured metadata",
        example="host,service,com.example.team",
    )


class LokiSink(HttpSink[LokiOptions]):
    """Grafana Loki."""

    limits = Limits(request_bytes=4 * MiB)

    def __init__(self, target: Target, options: LokiOptions) -> None:
        super().__init__(target, options)
        if len(options.labels) > MOST_LABELS:
            raise SettingsError(
                [f"sink {target.name}: option 'labels': Loki takes no more than {MOST_LABELS}"]
            )

    def encode(self, batches: Sequence[Batch]) -> Request:
        return self._push(push_request(batches, self.options.labels))

    def judge(self, reply: Reply) -> Outcome:
        if reply.status == INGESTION_BLOCKED:
            return Misconfigured(f"Loki's operator has blocked ingestion: {reply.text}")
        if reply.status in {400, 422}:
            return Refused(f"it answered {reply.status}: {reply.text}", isolate=False)
        return super().judge(reply)

    def question(self) -> Request:
        return self._push(b"")

    def judge_answer(self, reply: Reply) -> Outcome:
        """A push of nothing: newer versions complain of it, which only one that knows us would."""
        return Delivered() if reply.status in {400, 422} else self.judge(reply)

    def _push(self, request: bytes) -> Request:
        headers = {"Content-Type": "application/x-protobuf"}
        if self.options.tenant is not None:
            headers["X-Scope-OrgID"] = self.options.tenant
        path = self.target.path if self.target.path.strip("/") else PUSH
        return Request("POST", path, headers, request, compress="snappy")
