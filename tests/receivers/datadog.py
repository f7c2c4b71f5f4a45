"""A strict Datadog intake: `/api/v2/logs`, with its limits and the Agent's fields.

Source: Datadog's API reference, "Send logs"; datadog-agent, pkg/logs/processor/json.go.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from tests.receivers.received import Faulty, Received, in_order
from tests.receivers.web import Answer, Request, WebReceiver

INTAKE = "/api/v2/logs"
BODY_BYTES, LOG_BYTES, LOGS = 5_000_000, 1_000_000, 1000
_ID = re.compile(r"[0-9a-f]{20}[oe](\d+)(?:-\d+)?")
_FIELDS = ["timestamp", "message", "truncated", "status", "hostname", "service", "ddsource", "ddtags"]
_FIELDS += ["stream", "tag", "container", "record_id"]


class DatadogReceiver(WebReceiver):
    """Takes arrays of logs, with the right `api_key`; cuts those over a megabyte, as Datadog does."""

    good = 202

    def __init__(
        self, *, api_key: str = "", authorization: str | None = None, most_bytes: int = 1 << 30
    ) -> None:
        super().__init__(authorization=authorization, most_bytes=most_bytes)
        self.api_key = api_key
        self.logs: list[dict[str, Any]] = []

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if (request.method, request.path) != ("POST", INTAKE):
            raise Faulty(f"{request.method} {request.path}")
        given = request.headers.get("DD-API-KEY")
        if given != self.api_key:
            return [], Answer(403 if given else 401, json.dumps({"errors": [f"Forbidden: {given}"]}))
        if request.headers["Content-Type"] != "application/json":
            raise Faulty(f"headers: {dict(request.headers)}")
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        if len(body) > BODY_BYTES:
            raise Faulty(f"{len(body)} bytes")
        logs = json.loads(body.decode("utf-8", errors="strict"), object_pairs_hook=in_order)
        if logs == {}:
            return [], Answer(self.good, "{}")
        if not isinstance(logs, list) or not 0 < len(logs) <= LOGS:
            raise Faulty(f"{type(logs)} of {len(logs)}")
        self.logs += logs
        return [read_log(log) for log in logs], Answer(self.good, "{}")


def read_log(log: dict[str, Any]) -> Received:
    """One log. Raises Faulty."""
    known = [name for name in log if name in _FIELDS]
    if known != [name for name in _FIELDS if name in log] or "" in (log["service"], log["ddsource"]):
        raise Faulty(f"fields: {log}")
    if {"host", "source"} & set(log):
        raise Faulty(f"Datadog takes these for its own: {log}")
    tags = in_order(
        [(name, value) for name, _, value in (tag.partition(":") for tag in log["ddtags"].split(","))]
    )
    found = _ID.fullmatch(log["record_id"])
    if found is None:
        raise Faulty(f"id: {log}")
    read_ns, own = int(found[1]), log.get("container", {"labels": {}})
    if not set(own) <= {"labels", "env"} or len(json.dumps(log)) - len(log["message"]) > LOG_BYTES:
        raise Faulty(f"container: {own}")
    return Received(
        message=log["message"][:LOG_BYTES],
        timestamp_ns=read_ns if read_ns // 1_000_000 == log["timestamp"] else log["timestamp"] * 1_000_000,
        stream=log["stream"],
        container=tags["container_name"],
        container_id=tags["container_id"],
        image=tags["docker_image"],
        host=log["hostname"],
        tag=log["tag"],
        project=tags.get("compose_project"),
        service=log["service"],
        labels=own.get("labels", {}),
        truncated=log.get("truncated", False),
        level=None
        if log["status"] == {"stdout": "info", "stderr": "error"}[log["stream"]]
        else log["status"],
        fields={name: value for name, value in log.items() if name not in _FIELDS},
        id=log["record_id"],
    )
