"""A strict CloudWatch Logs: it keeps the rules of PutLogEvents, and has the log group `docker`, empty.

Source: Amazon CloudWatch Logs API Reference, "PutLogEvents", "CreateLogStream", "CreateLogGroup", "Common Errors".
"""

from __future__ import annotations

import json
from typing import Any

from tests.receivers.aws import AwsReceiver
from tests.receivers.received import Faulty, Received, in_order, read_line
from tests.receivers.sent import START_NS
from tests.receivers.web import Answer, Request

GROUP = "docker"
PUT_BYTES, PUT_EVENTS, OVERHEAD_BYTES = 1_048_576, 10_000, 26
DAY_MS = 24 * 3600 * 1000
OLDEST_MS, NEWEST_MS = 14 * DAY_MS, 2 * 3600 * 1000
_TARGET = "Logs_20140328."
_JSON = {"Content-Type": "application/x-amz-json-1.1"}


def error(status: int, code: str, message: str = "said so", *, retry_after: str | None = None) -> Answer:
    """An answer that refuses, as the service words it."""
    headers = _JSON | ({"Retry-After": retry_after} if retry_after else {})
    return Answer(status, json.dumps({"__type": code, "message": message}), headers)


class CloudWatchReceiver(AwsReceiver):
    """Keeps events by group and stream, and knows its own time.

    groups       what there is; operations: what it was asked to do
    format       what a message is: `text`, or `json`, a whole record
    hidden       a stream that was made is not there yet
    undescribed  who may write may not describe
    """

    def __init__(self, *, secret: str, format: str = "text", event_bytes: int = PUT_BYTES) -> None:
        super().__init__(secret=secret)
        self.groups: dict[str, dict[str, list[Received]]] = {GROUP: {}}
        self.operations: list[str] = []
        self.format = format
        self.event_bytes = event_bytes
        self.now_ms = START_NS // 1_000_000 + 60_000
        self.hidden = False
        self.undescribed = False

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        target = request.headers.get("X-Amz-Target", "")
        if (request.method, request.path) != ("POST", "/") or not target.startswith(_TARGET):
            raise Faulty(f"{request.method} {request.path} {target}")
        if request.headers.get("Content-Type") != _JSON["Content-Type"]:
            raise Faulty(f"headers: {dict(request.headers)}")
        if not self.signed(request, "logs"):
            text = f"The request signature does not match.\nThe Canonical String was: {self.secret}"
            return [], error(400, "InvalidSignatureException", text)
        asked = json.loads(request.body.decode("utf-8", errors="strict"), object_pairs_hook=in_order)
        operation = target.removeprefix(_TARGET)
        self.operations.append(operation)
        if operation == "PutLogEvents":
            return self._put(asked)
        return [], self._other(operation, asked)

    def _other(self, operation: str, asked: dict[str, Any]) -> Answer:
        group = asked["logGroupName"]
        match operation:
            case "CreateLogGroup" if group in self.groups:
                return error(400, "ResourceAlreadyExistsException")
            case "CreateLogGroup":
                self.groups[group] = {}
            case "DescribeLogStreams" | "CreateLogStream" if group not in self.groups:
                return error(400, "ResourceNotFoundException", "The specified log group does not exist.")
            case "DescribeLogStreams" if self.undescribed:
                return error(
                    400, "AccessDeniedException", "not authorized to perform: logs:DescribeLogStreams"
                )
            case "DescribeLogStreams":
                return Answer(200, json.dumps({"logStreams": []}), _JSON)
            case "CreateLogStream" if asked["logStreamName"] in self.groups[group]:
                return error(400, "ResourceAlreadyExistsException")
            case "CreateLogStream":
                if set(":*") & set(asked["logStreamName"]) or not 0 < len(asked["logStreamName"]) <= 512:
                    raise Faulty(f"no name of a stream: {asked}")
                self.groups[group][asked["logStreamName"]] = []
            case _:
                raise Faulty(operation)
        return Answer(200, "", _JSON)

    def _put(self, asked: dict[str, Any]) -> tuple[list[Received], Answer]:
        if set(asked) != {"logGroupName", "logStreamName", "logEvents"}:
            raise Faulty(f"keys: {list(asked)}")
        streams = self.groups.get(asked["logGroupName"])
        if streams is None or asked["logStreamName"] not in streams or self.hidden:
            missing = "group" if streams is None else "stream"
            return [], error(400, "ResourceNotFoundException", f"The specified log {missing} does not exist.")
        events = asked["logEvents"]
        self._check(events)
        if self.poison is not None and self.poison in [event["message"] for event in events]:
            return [], error(400, "InvalidParameterException", "poison")
        stamps = [event["timestamp"] for event in events]
        old = sum(stamp < self.now_ms - OLDEST_MS for stamp in stamps)
        new = sum(stamp <= self.now_ms + NEWEST_MS for stamp in stamps)
        rejected = {"tooOldLogEventEndIndex": old} if old else {}
        rejected |= {"tooNewLogEventStartIndex": new} if new < len(events) else {}
        taken = [self._record(asked["logStreamName"], event) for event in events[old:new]]
        streams[asked["logStreamName"]] += taken
        said = {"nextSequenceToken": "1"} | ({"rejectedLogEventsInfo": rejected} if rejected else {})
        return taken, Answer(200, json.dumps(said), _JSON)

    def _check(self, events: list[dict[str, Any]]) -> None:
        """Raises Faulty for what the service would refuse whole."""
        if not 0 < len(events) <= PUT_EVENTS:
            raise Faulty(f"{len(events)} events")
        sizes = [len(event["message"].encode()) + OVERHEAD_BYTES for event in events]
        if sum(sizes) > PUT_BYTES or max(sizes) > self.event_bytes or min(sizes) == OVERHEAD_BYTES:
            raise Faulty(f"{sum(sizes)} bytes, from {min(sizes)} to {max(sizes)} an event")
        stamps = [event["timestamp"] for event in events]
        if stamps != sorted(stamps) or min(stamps) < 0 or stamps[-1] - stamps[0] > DAY_MS:
            raise Faulty(f"times from {stamps[0]} to {stamps[-1]}, or not in order")
        if any(set(event) != {"timestamp", "message"} for event in events):
            raise Faulty("an event has other keys")

    def _record(self, stream: str, event: dict[str, Any]) -> Received:
        if self.format == "text":
            return Received(event["message"], event["timestamp"] * 1_000_000, container_id=stream)
        record = read_line(event["message"].encode())
        if record.timestamp_ns // 1_000_000 != event["timestamp"] or record.container_id != stream:
            raise Faulty(f"the event is not its record's: {event}")
        return record
