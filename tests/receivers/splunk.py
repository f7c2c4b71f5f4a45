"""A strict Splunk HTTP Event Collector, with its codes, its acknowledgements and its ways with a bad event.

Source: Splunk's docs, "Format events for HTTP Event Collector", "Troubleshoot HTTP Event Collector" and "About HTTP
Event Collector Indexer Acknowledgment"; how it stops at a bad event: moby issue 35862.
"""

from __future__ import annotations

import json
import re
import uuid
import zlib
from collections.abc import Sequence
from typing import Any

from tests.receivers.received import Faulty, Received, in_order
from tests.receivers.web import Answer, Request, WebReceiver

COLLECTOR = "/services/collector"
KEYS = {"time", "host", "source", "sourcetype", "index", "fields", "event"}
_TIME = re.compile(r"(\d+)\.(\d{6})")
_METADATA = {
    "container_id",
    "container_name",
    "image",
    "project",
    "service",
    "stream",
    "level",
    "truncated",
    "record_id",
}


class SplunkReceiver(WebReceiver):
    """Takes events. Its answers are JSON, unless `script` says otherwise.

    acknowledging  the token has indexer acknowledgement: it needs a channel, and answers with an ackId
    unindexed      how often it says of an ackId that it is not indexed yet
    indexes        those the token may write to; None: any
    rollback       it takes nothing of a request with a bad event, as receivers that only speak like Splunk do
    posted         requests with events, whatever became of them
    """

    def __init__(
        self, *, authorization: str | None = None, most_bytes: int = 1 << 30, acknowledging: bool = False
    ) -> None:
        super().__init__(authorization=authorization, most_bytes=most_bytes)
        self.acknowledging = acknowledging
        self.unindexed = 0
        self.indexes: Sequence[str] | None = None
        self.rollback = False
        self.posted = 0
        self.events: list[dict[str, Any]] = []
        self._given: dict[str, list[int]] = {}

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if request.method != "POST":
            raise Faulty(f"{request.method} {request.path}")
        channel = request.headers.get("X-Splunk-Request-Channel")
        if self.acknowledging:
            if channel is None:
                return [], said(400, 10, "Data channel is missing")
            uuid.UUID(channel)
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        match request.path:
            case "/services/collector/ack":
                return [], self._acknowledge(channel, body)
            case "/services/collector/event":
                return self._take(channel, body)
            case other:
                raise Faulty(other)

    def _acknowledge(self, channel: str | None, body: bytes) -> Answer:
        if not self.acknowledging or channel is None:
            return said(400, 14, "ACK is disabled")
        wanted = json.loads(body)["acks"]
        given = self._given.get(channel, [])
        done = {str(each): each in given and self.unindexed <= 0 for each in wanted}
        if any(each in given for each in wanted):
            self.unindexed -= 1
        self._given[channel] = [each for each in given if not done.get(str(each))]  # told only once
        return Answer(200, json.dumps({"acks": done}))

    def _take(self, channel: str | None, body: bytes) -> tuple[list[Received], Answer]:
        if not body.strip():
            return [], said(400, 5, "No data")
        self.posted += 1
        decoder, text, at = json.JSONDecoder(object_pairs_hook=in_order), body.decode(), 0
        taken: list[dict[str, Any]] = []
        while (at := _after_blanks(text, at)) < len(text):
            event, at = decoder.raw_decode(text, at)
            if (fault := self._fault(event)) is not None:
                self._keep([] if self.rollback else taken)
                return [], said(400, *fault, number=len(taken))
            taken.append(event)
        answer: dict[str, Any] = {"text": "Success", "code": 0}
        if self.acknowledging:
            assert channel is not None
            answer["ackId"] = self.posted
            self._given.setdefault(channel, []).append(self.posted)
        if not (self.script and not self.script[0].store):
            self.events += taken
        return [read_event(event) for event in taken], Answer(200, json.dumps(answer))

    def _fault(self, event: Any) -> tuple[int, str] | None:  # noqa: ANN401 - whatever JSON says
        if not isinstance(event, dict) or event.keys() - KEYS:
            raise Faulty(f"no event: {event}")
        if "event" not in event:
            return 12, "Event field is required"
        if event["event"] is None or (isinstance(event["event"], str) and not event["event"].strip()):
            return 13, "Event field cannot be blank"
        fields = event.get("fields", {})
        if not all(isinstance(value, str) for value in fields.values()) or fields.keys() - _METADATA:
            return 15, "Error in handling indexed fields"
        if self.indexes is not None and event.get("index", "main") not in self.indexes:
            return 7, "Incorrect index"
        if self.poison is not None and read_event(event).message == self.poison:
            return 6, "Invalid data format"
        return None

    def _keep(self, events: list[dict[str, Any]]) -> None:
        self.events += events
        self.inbox.add(map(read_event, events))


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def said(status: int, code: int, text: str, number: int | None = None) -> Answer:
    """A refusal in Splunk's words."""
    answer: dict[str, Any] = {"text": text, "code": code}
    if number is not None:
        answer["invalid-event-number"] = number
    return Answer(status, json.dumps(answer))


def read_event(event: dict[str, Any]) -> Received:
    """An event in any of the three formats; of `raw`, the attributes are not told apart from the line."""
    match = _TIME.fullmatch(event["time"])
    if match is None:
        raise Faulty(f"time: {event['time']}")
    fields, inner = event.get("fields", {}), event["event"]
    if isinstance(inner, str):
        inner = {"line": inner}
    elif inner.keys() - {"line", "source", "tag", "attrs", "fields"} or inner["source"] not in {
        "stdout",
        "stderr",
    }:
        raise Faulty(f"not as Docker's driver has it: {inner}")
    line = inner["line"]
    return Received(
        message=line if isinstance(line, str) else json.dumps(line),
        timestamp_ns=int(match[1]) * 1_000_000_000 + int(match[2]) * 1000,
        stream=inner.get("source", fields.get("stream")),
        container=fields.get("container_name"),
        container_id=fields.get("container_id"),
        image=fields.get("image"),
        host=event["host"],
        tag=inner.get("tag"),
        project=fields.get("project"),
        service=fields.get("service"),
        labels=inner.get("attrs", {}),
        truncated=fields.get("truncated") == "true",
        level=fields.get("level"),
        fields=inner.get("fields", {}),
        id=fields.get("record_id"),
    )
