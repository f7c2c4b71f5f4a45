"""cloudwatch: the records as events of Amazon CloudWatch Logs, by default as Docker's awslogs driver sends them.

Source: moby daemon/logger/awslogs/cloudwatchlogs.go for log streams and their creation; Amazon CloudWatch Logs API
Reference, "PutLogEvents". One such call is for one log stream, so a request of ours is a group of calls:
streams side by side, the calls for one stream in order. What some of them did not take is asked again by
itself, until what is left has one answer.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agent.batch import Batch
from agent.encode.cloudwatch import FORMATS, MOST_BYTES, Put, events
from agent.errors import SettingsError
from agent.options import BOOLEAN, DURATION, SIZE, KiB, choice, option
from agent.sinks.base import Delivered, Outcome, Partial, Retry, Target
from agent.sinks.over_aws import AwsOptions, AwsSink, Declined, worst
from agent.tag import TAG, Tag

NAME_CHARACTERS = 512
_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_NOT_IN_STREAMS = re.compile(r"[:*\x00-\x1f\x7f]")
_ABSENT = "ResourceNotFoundException"
_THERE = "ResourceAlreadyExistsException"
_BODY = "dockferry_body"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchOptions(AwsOptions):
    """The options of `cloudwatch://`."""

    batch_age: float = option(DURATION, 5.0, help="longest wait for a request to fill", group="batch")
    stream: Tag = option(
        TAG,
        Tag.parse("{{.FullID}}"),
        help="name of a container's log stream, in the markup of DOCKFERRY_TAG; ':' and '*' become '_'",
        example="{{.Name}}/{{.ID}}",
    )
    format: str = option(
        choice(*FORMATS), "text", help="of an event: the line as it came, or the whole record as JSON"
    )
    create_stream: bool = option(BOOLEAN, True, help="make a log stream that is not there")
    create_group: bool = option(BOOLEAN, False, help="make the log group if it is not there")
    event_bytes: int = option(
        SIZE,
        MOST_BYTES,
        help="a longer line becomes several events; 256KiB where the service has not taken more since 2025",
    )


@dataclass(slots=True)
class _Result:
    """What became of the rows of one stream: `failed` from some row on, or not; `refused`: rows and why."""

    failed: Outcome | None = None
    again: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)


class CloudWatchSink(AwsSink[CloudWatchOptions]):
    """Amazon CloudWatch Logs."""

    service = "logs"

    def __init__(self, target: Target, options: CloudWatchOptions) -> None:
        super().__init__(target, options)
        self._group = target.path.removeprefix("/")
        if not target.host or not _GROUP.fullmatch(self._group):
            problem = (
                f"sink {target.name}: region and log group are needed, as in cloudwatch://eu-west-1/my-group "
                "(a group's name has letters, digits and . - _ / #; before one that begins with / there are two)"
            )
            raise SettingsError([problem])
        if not KiB <= options.event_bytes <= MOST_BYTES:
            raise SettingsError(
                [f"sink {target.name}: option 'event_bytes': from 1KiB to 1MiB is what the service takes"]
            )

    @property
    def region(self) -> str | None:
        return self.target.host

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        await super().open(checkpoint, save)
        # botocore would take each event in hand several times; ours are encoded by columns.
        hooks = self._client.meta.events
        hooks.register_last("provide-client-params.cloudwatch-logs.PutLogEvents", _set_aside)
        hooks.register_last("before-call.cloudwatch-logs.PutLogEvents", _put_in)

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        streams: dict[str, list[tuple[int, Batch]]] = {}
        row = 0
        for batch in batches:
            streams.setdefault(self._stream(batch), []).append((row, batch))
            row += len(batch)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._deliver(stream, parts)) for stream, parts in streams.items()]
        return _together([task.result() for task in tasks], row)

    async def probe(self) -> Outcome:
        """A group that may be written to need not be described: who is told that is known there."""
        try:
            await self.ask("describe_log_streams", logGroupName=self._group, limit=1)
        except Declined as declined:
            fine = declined.code == "AccessDeniedException" or (
                declined.code == _ABSENT and self.options.create_group and self.options.create_stream
            )
            return Delivered() if fine else declined.outcome
        return Delivered()

    def _stream(self, batch: Batch) -> str:
        name = _NOT_IN_STREAMS.sub("_", self.options.stream.render(batch.container))
        return name[:NAME_CHARACTERS] or "_"

    async def _deliver(self, stream: str, parts: Sequence[tuple[int, Batch]]) -> _Result:
        """One stream's share, until a call fails."""
        made = events(parts, self.options.format, self.options.event_bytes)
        result, calls = _Result(refused=made.refused), made.puts()
        for call in calls:
            try:
                answer = await self._put(stream, call)
            except Declined as declined:
                result.failed = declined.outcome
                result.again.update(call.rows, *(later.rows for later in calls))
                break
            result.refused.update(_rejected(answer, call.rows))
        return result

    async def _put(self, stream: str, call: Put) -> Mapping[str, Any]:
        """What PutLogEvents answers; what is not there is made. Raises Declined."""
        head = orjson.dumps({"logGroupName": self._group, "logStreamName": stream})
        body = b'%b,"logEvents":%b}' % (head[:-1], call.events)
        try:
            return await self.ask("put_log_events", **{_BODY: body})
        except Declined as declined:
            if declined.code != _ABSENT or not self.options.create_stream:
                raise
        await self._create(stream)
        try:
            return await self.ask("put_log_events", **{_BODY: body})
        except Declined as declined:
            if declined.code != _ABSENT:
                raise
            why = f"log stream {stream} was made, but is not there yet"
            raise Declined(_ABSENT, Retry(why)) from declined

    async def _create(self, stream: str) -> None:
        """Make the stream and, if it is to, its group. Raises Declined."""
        try:
            await self._make("create_log_stream", logGroupName=self._group, logStreamName=stream)
        except Declined as declined:
            if declined.code != _ABSENT or not self.options.create_group:
                raise
            await self._make("create_log_group", logGroupName=self._group)
            await self._make("create_log_stream", logGroupName=self._group, logStreamName=stream)

    async def _make(self, operation: str, **names: str) -> None:
        try:
            await self.ask(operation, **names)
        except Declined as declined:
            if declined.code != _THERE:
                raise


def _rejected(answer: Mapping[str, Any], rows: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The rows the service did not store for their time's sake, and why."""
    about = answer.get("rejectedLogEventsInfo") or {}
    for row in itertools.islice(rows, about.get("expiredLogEventEndIndex", 0)):
        yield row, "it is older than the log group keeps events"
    for row in itertools.islice(rows, about.get("tooOldLogEventEndIndex", 0)):
        yield row, "it is more than 14 days old, or older than the log group keeps events"
    for row in itertools.islice(rows, about.get("tooNewLogEventStartIndex", len(rows)), None):
        yield row, "its time is more than 2 hours ahead"


def _together(results: Sequence[_Result], size: int) -> Outcome:
    """What became of the whole: one answer where all failed, else what is left to be asked again."""
    again = set().union(*(result.again for result in results))
    refused = {row: why for result in results for row, why in result.refused.items()}
    failed = worst(result.failed for result in results if result.failed is not None)
    if failed is None:
        return Partial(refused=refused) if refused else Delivered()
    if len(again) == size:
        return failed
    return Partial(again, refused, failed.why, failed.after if isinstance(failed, Retry) else None)


def _set_aside(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    context[_BODY] = params.pop(_BODY)
    return params


def _put_in(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    params["body"] = io.BytesIO(context.pop(_BODY))
