"""splunk+http, splunk+https: Splunk's HTTP Event Collector (HEC).

Source: Splunk's docs, "Troubleshoot HTTP Event Collector" (its codes) and "About HTTP Event Collector Indexer
Acknowledgment"; moby's daemon/logger/splunk. A 400 names the event at fault by its place. Splunk has taken those
before it and none behind it; receivers that only speak like Splunk have taken none. So all but that one go again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from agent.batch import Batch
from agent.encode.splunk import FIELDS, Events, Layout, events
from agent.errors import SettingsError
from agent.options import BOOLEAN, DURATION, SECRET, SIZE, WORDS, MiB, Secret, choice, option, optional
from agent.sinks.base import Delivered, Limits, Misconfigured, Outcome, Partial, Refused, Retry, Target
from agent.sinks.over_http import HttpOptions, HttpSink
from agent.sinks.verdicts import Verdict, outcome
from agent.tag import TAG, Tag
from agent.transport.http import Reply, Request

COLLECTOR = "/services/collector"
POLL_FIRST_S, POLL_MOST_S = 0.1, 2.0
#: An acknowledgement that nobody waits for: Splunk tells of each only once.
NO_ACK = 2**31 - 1
_INDEX = 7
#: Invalid format, no event, blank event, indexed fields.
_ABOUT_ONE_EVENT = {6, 12, 13, 15, _INDEX}
#: Index, channel missing or invalid, no acknowledgement, a token in the query.
_MENDED = {_INDEX, 10, 11, 14, 16}
_NOT_YET = Retry("Splunk has not acknowledged it yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplunkOptions(HttpOptions):
    """The options of `splunk+http://` and `splunk+https://`."""

    token: Secret | None = option(optional(SECRET), None, help="HEC token", group="http")
    format: str = option(
        choice("inline", "json", "raw"),
        "inline",
        help="an object around the line; a line that is JSON as such; tag, attributes and line as text",
    )
    index: Tag | None = option(
        optional(TAG), None, help="unset: the token's own", example='{{index .Labels "splunk.index"}}'
    )
    source: Tag | None = option(optional(TAG), None, help="unset: the token's own", example="{{.Name}}")
    sourcetype: Tag | None = option(optional(TAG), None, help="unset: the token's own", example="docker")
    fields: tuple[str, ...] = option(WORDS, FIELDS, help="what goes along as indexed fields")
    ack: bool = option(
        BOOLEAN, False, help="wait until Splunk has indexed it, where the token has that enabled"
    )
    ack_timeout: float = option(DURATION, 300.0, help="send it again when that takes longer")
    compress: str = option(choice("none", "gzip"), "gzip", help="compression of the body")
    batch_bytes: int = option(
        SIZE, 1 * MiB, help="most bytes in one request, before compression", group="batch"
    )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What Splunk gave for a request that it has not acknowledged yet, and when."""

    ack_id: int
    since: float


class SplunkSink(HttpSink[SplunkOptions]):
    """Splunk's HTTP Event Collector."""

    limits = Limits(request_bytes=64 * MiB)

    def __init__(self, target: Target, options: SplunkOptions) -> None:
        super().__init__(target, options)
        unknown = [name for name in options.fields if name not in FIELDS]
        problems = [f"option 'fields': {name!r} is none of {', '.join(FIELDS)}" for name in unknown]
        if options.token is None and options.password is None:
            problems.append("option 'token' is missing: HEC token")
        if problems:
            raise SettingsError([f"sink {target.name}: {problem}" for problem in problems])
        self._layout = Layout(
            options.format, options.fields, options.index, options.source, options.sourcetype
        )
        path = target.path.rstrip("/").removesuffix("/event")
        self._path = path if path.endswith(COLLECTOR) else path + COLLECTOR
        self._channel = str(uuid.uuid4())
        self._receipts: dict[bytes, Receipt] = {}

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        sent = events(batches, self._layout)
        answer: Outcome = Delivered()
        if sent.rows:
            answer = await (self._indexed(sent, batches) if self.options.ack else self._taken(sent, batches))
        match answer:
            case Delivered() if sent.refused:
                return Partial(refused=sent.refused)
            case Partial(refused=refused):
                return replace(answer, refused={**refused, **sent.refused})
            case _:
                return answer

    def encode(self, batches: Sequence[Batch]) -> Request:
        return self._events(events(batches, self._layout).body)

    def judge(self, reply: Reply) -> Outcome:
        said = _said(reply)
        if 200 <= reply.status < 300 and reply.body and said.get("code") != 0:
            return Misconfigured(
                f"it answered {reply.status}, but not as a collector does: is this the right address?"
            )
        if reply.status == 400 and said.get("code") in _MENDED:
            return Misconfigured(f"it answered 400: {reply.text}")
        return super().judge(reply)

    def question(self) -> Request:
        """Nothing, which it refuses once it has looked at the token."""
        return self._ask_for(NO_ACK) if self.options.ack else self._post("/event", b"")

    def judge_answer(self, reply: Reply) -> Outcome:
        if self.options.ack and "acks" in _said(reply):
            return Delivered()
        verdict = self.judge(reply)
        return Delivered() if isinstance(verdict, Refused) else verdict

    async def _taken(self, sent: Events, batches: Sequence[Batch]) -> Outcome:
        return await self._ask(
            self._events(sent.body), lambda reply: self._judge_events(reply, sent, batches)
        )

    async def _indexed(self, sent: Events, batches: Sequence[Batch]) -> Outcome:
        """Send it, unless that was done before, and wait for the acknowledgement.

        One that does not come in time is waited for when the same request is tried again, so that a slow Splunk
        does not get everything many times.
        """
        key, now = hashlib.blake2b(sent.body).digest(), time.monotonic()
        limit = now + 0.9 * self.options.timeout  # a little less than the runner grants
        self._receipts = {
            known: receipt
            for known, receipt in self._receipts.items()
            if now < receipt.since + self.options.ack_timeout
        }
        if key not in self._receipts:
            answer = await self._receipt(key, sent, batches)
            if answer != Delivered():
                return answer
        ack_id, pause = self._receipts[key].ack_id, POLL_FIRST_S
        while (answer := await self._acknowledged(ack_id)) is _NOT_YET and time.monotonic() + pause < limit:
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_MOST_S)
        if answer == Delivered():
            self._receipts.pop(key, None)
        return answer

    async def _receipt(self, key: bytes, sent: Events, batches: Sequence[Batch]) -> Outcome:
        """Send it, and keep what Splunk gives for it."""

        def judge(reply: Reply) -> Outcome:
            answer = self._judge_events(reply, sent, batches)
            if answer != Delivered():
                return answer
            ack_id = _said(reply).get("ackId")
            if not isinstance(ack_id, int):
                return Misconfigured(
                    "the token has no indexer acknowledgement: enable it there, or leave ack=true out"
                )
            self._receipts[key] = Receipt(ack_id, time.monotonic())
            return answer

        return await self._ask(self._events(sent.body), judge)

    async def _acknowledged(self, ack_id: int) -> Outcome:
        def judge(reply: Reply) -> Outcome:
            try:
                return Delivered() if _said(reply)["acks"][str(ack_id)] is True else _NOT_YET
            except (LookupError, TypeError):
                return self.judge(reply)

        return await self._ask(self._ask_for(ack_id), judge)

    def _judge_events(self, reply: Reply, sent: Events, batches: Sequence[Batch]) -> Outcome:
        said = _said(reply)
        number = said.get("invalid-event-number")
        if reply.status != 400 or said.get("code") not in _ABOUT_ONE_EVENT or not isinstance(number, int):
            return self.judge(reply)
        if not 0 <= number < len(sent.rows):
            return self.judge(reply)
        at_fault = {sent.rows[number]}
        if said["code"] == _INDEX:
            at_fault = self._same_index(sent.rows[number], batches)
        refused, again = Refused(f"it answered 400: {reply.text}"), Retry("another record was refused")
        rows: Mapping[int, Verdict] = {row: refused if row in at_fault else again for row in sent.rows}
        return outcome(len(sent.rows), rows) if at_fault else self.judge(reply)

    def _same_index(self, row: int, batches: Sequence[Batch]) -> set[int]:
        """The rows that go to the same index as this one, where containers name theirs; else none."""
        index = self.options.index
        if index is None or all(isinstance(part, str) for part in index.parts):
            return set()
        names = [name for batch in batches for name in [index.render(batch.container)] * len(batch)]
        return {place for place, name in enumerate(names) if name == names[row]}

    def _events(self, body: bytes) -> Request:
        return self._post("/event", body, self.options.compress)

    def _post(self, endpoint: str, body: bytes, compress: str = "none") -> Request:
        headers = {"Content-Type": "application/json"}
        if compress != "none":
            headers["Content-Encoding"] = compress
        return Request("POST", self._path + endpoint, headers, body, compress)

    def _ask_for(self, ack_id: int) -> Request:
        return self._post("/ack", orjson.dumps({"acks": [ack_id]}))

    def _own_headers(self) -> dict[str, str]:
        headers = super()._own_headers()
        headers["X-Splunk-Request-Channel"] = self._channel
        if self.options.token is not None:
            headers["Authorization"] = f"Splunk {self.options.token.reveal()}"
        return headers


def _said(reply: Reply) -> Mapping[str, Any]:
    """The reply's JSON object; empty where it is none."""
    try:
        said = orjson.loads(reply.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
