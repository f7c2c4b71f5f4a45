"""`dockferry try`: what the settings and labels make of lines, record by record, and why one is left out.

The steps are those of `run`, in its order; nothing is sent, and nothing is saved.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.batch import NS, Batch, Stream
from agent.encode.ndjson import ndjson
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts
from agent.engine.endpoint import resolve
from agent.errors import EngineRefused, UsageError
from agent.labels import PREFIX, LabelOptions, read_labels
from agent.level import Level
from agent.losses import Losses
from agent.metrics import Metrics
from agent.pipeline.chain import Chain
from agent.pipeline.describe import describe
from agent.pipeline.rules import Rules
from agent.settings import Settings
from agent.sinks.base import Sink
from agent.sinks.narrow import Narrowing
from agent.source.cursor import Cursor
from agent.source.reading import Reading, Surroundings
from agent.spool import Entry
from agent.terminal import printable

Print = Callable[[str], None]
_INDENT = " " * 22


@dataclass(slots=True)
class _Entered:
    """A record on its way: which lines it is of, and what befell it so far."""

    first: int
    last: int
    text: bytes
    notes: list[str] = field(default_factory=list)


class Trial:
    """`take` lines or batches of one container in turn, then `finish`.

    sinks    those that are set: it is told what their own options leave out or mask
    say      is given each line of the result
    as_json  the records that would be sent, as NDJSON, and nothing else
    """

    def __init__(
        self,
        facts: ContainerFacts,
        labels: LabelOptions,
        settings: Settings,
        sinks: Sequence[Sink[Any]],
        say: Print,
        *,
        as_json: bool,
    ) -> None:
        selects = {sink.target.name: sink.options.select for sink in sinks}
        self._container = describe(facts, labels, settings, host="", selects=selects)
        metrics = Metrics()
        route = self._container.sinks
        self._sinks = {
            sink.target.name: Narrowing.of(sink.target.name, sink.options, metrics)
            for sink in sinks
            if route is None or sink.target.name in route
        }
        self._rules = Rules.of(settings, labels)
        self._chain = Chain(self._rules, self, watch=self._watch)
        self._say = say
        self._as_json = as_json
        self._lines: dict[int, int] = {}
        self._entered: dict[int, _Entered] = {}
        self._counts = Counter[str]()
        self._told: list[tuple[float, list[str]]] = []

    def withheld(self, reason: str, count: int) -> None:
        self._counts[f"withheld by {reason}"] += count

    def unparsed(self, count: int) -> None:
        self._counts["not in the form they were to be parsed as"] += count

    def redacted(self, count: int) -> None:
        self._counts["redacted"] += count

    def line(self, message: bytes, stream: Stream = Stream.STDOUT) -> None:
        """The next line, as if it was written now."""
        self.batch(Batch(self._container, stream, [time.time_ns()], [message]), time.monotonic())

    def batch(self, batch: Batch, now: float) -> None:
        """The next record of a container."""
        number = self._counts["lines"] = self._counts["lines"] + 1
        at = max(
            batch.timestamps[0], next(reversed(self._lines), 0) + 1
        )  # each its own: so it is known again
        self._lines[at] = number
        batch.timestamps, batch.ordinals, batch.times = [at], None, None
        due = self._chain.due()
        if due is not None and due <= now:
            self._tell(self._chain.flush(now))
        self._tell(self._chain.feed(batch, now))

    def finish(self, now: float) -> None:
        """No more lines: what is kept back, and the sums."""
        self._tell(self._chain.finish(now))
        if not self._as_json:
            said = [f"{self._counts.pop('lines', 0)} lines", f"{self._counts.pop('sent', 0)} records to send"]
            said += [f"{count} {what}" for what, count in self._counts.items() if count]
            if self._container.sinks is not None:
                said.append(f"to {', '.join(self._sinks) or 'no sink'} only")
            self._say(", ".join(said))

    def _watch(self, step: str, before: Batch, after: Batch) -> None:
        if step == "multiline":
            for at, message in zip(_keys(before), before.messages, strict=True):
                first = self._lines.get(at, 0)
                self._entered[at] = _Entered(first, first + message.count(b"\n"), message)
            return
        there = dict(zip(_keys(after), range(len(after)), strict=True))
        for row, at in enumerate(_keys(before)):
            if (entered := self._entered.get(at)) is None:
                continue
            if at not in there:
                self._leave_out(self._entered.pop(at), step)
            elif step == "parse" and (after.fields is None or after.fields[there[at]] is None):
                entered.notes.append(f"does not parse as {self._rules.parse}")
            elif (
                step == "redact" and after is not before and after.messages[there[at]] != before.messages[row]
            ):
                entered.notes.append("redacted")

    def _tell(self, batches: Iterable[Batch]) -> None:
        """Say what became of these and of those that were left out on the way, in the order of their lines."""
        for batch in batches:
            self._counts["sent"] += len(batch)
            if self._as_json:
                self._say(ndjson(batch)[:-1].decode())
                continue
            for row, at in enumerate(_keys(batch)):
                self._send(batch, row, self._entered.pop(at, None))
        for at in list(self._entered):  # not sent, nor left out by another step
            self._leave_out(self._entered.pop(at), "rate")
        for _, lines in sorted(self._told):
            for line in lines:
                self._say(line)
        self._told.clear()

    def _send(self, batch: Batch, row: int, entered: _Entered | None) -> None:
        level = Level(batch.levels[row]).text.upper() + " " if batch.levels and batch.levels[row] else ""
        more = entered.notes if entered else []
        if batch.read_at:
            more = [f"time {batch.rfc3339()[row].decode()}", *more]
        if batch.fields and (fields := batch.fields[row]):
            more = [f"fields {printable(fields)}", *more]
        self._show(
            entered, "send", level, batch.messages[row], [*more, *self._narrowed(batch.rows(row, row + 1))]
        )

    def _narrowed(self, record: Batch) -> Iterator[str]:
        """What sinks' own options make of it."""
        for name, narrow in self._sinks.items():
            if narrow is None:
                continue
            left = narrow(Entry(self._counts["sent"], record))
            if not len(left):
                yield f"not to {name}, whose options leave it out"
            elif left.messages != record.messages or left.fields != record.fields:
                yield f"to {name} as {printable(left.messages[0])}"

    def _leave_out(self, entered: _Entered, step: str) -> None:
        rule = getattr(self._rules, step)
        said = (
            "; ".join(map(str, rule))
            if isinstance(rule, tuple)
            else str(rule.text if step == "min_level" else rule)
        )
        why = f"because of {step}={said}"
        self._show(entered, "leave out", "", entered.text, [why])

    def _show(
        self, entered: _Entered | None, what: str, level: str, message: bytes, more: Iterable[str]
    ) -> None:
        if self._as_json:
            return
        first, *rest = message.split(b"\n")
        place = entered.first if entered and entered.first else float("inf")
        lines = _span(entered.first, entered.last) if entered and entered.first else "new"
        block = [f"{lines:>9}  {what:9}  {level}{printable(first)}"]
        block += [f"{_INDENT}| {printable(line)}" for line in rest]
        block += [_INDENT + note for note in more]
        self._told.append((place, block))


def trial_of_lines(
    settings: Settings,
    sinks: Sequence[Sink[Any]],
    labels: Mapping[str, str],
    lines: Iterable[bytes],
    say: Print,
    *,
    as_json: bool,
) -> None:
    """What becomes of these lines, if a container with these labels writes them. Raises UsageError."""
    facts = ContainerFacts("0" * 64, "try", labels=labels)
    trial = Trial(facts, _options(facts), settings, sinks, say, as_json=as_json)
    for line in lines:
        trial.line(line.removesuffix(b"\n"))
    trial.finish(time.monotonic())


async def trial_of_container(
    settings: Settings,
    sinks: Sequence[Sink[Any]],
    name: str,
    labels: Mapping[str, str],
    say: Print,
    *,
    tail: int,
    as_json: bool,
) -> None:
    """What becomes of the newest records of a container; `labels` go before its own.

    Raises UsageError: there is no such container; EngineError, StreamError.
    """
    async with EngineClient(resolve(settings.docker), docker=settings.docker) as client:
        await client.connect()
        try:
            facts = await client.inspect(name)
        except EngineRefused as refused:
            raise UsageError(f"container {name!r}: {refused.message}") from None
        facts = replace(facts, labels={**facts.labels, **labels})
        trial = Trial(facts, _options(facts), settings, sinks, say, as_json=as_json)
        newest = 0.0
        for batch in await _newest(client, facts, settings, tail):
            newest = batch.timestamps[0] / NS
            trial.batch(batch, newest)
        trial.finish(newest)


async def _newest(client: EngineClient, facts: ContainerFacts, settings: Settings, tail: int) -> list[Batch]:
    """The newest records of a container, each by itself, in the order of their times.

    Raises EngineError, StreamError.
    """
    batches: list[Batch] = []

    async def keep(found: Sequence[Batch], _: Mapping[str, bytes]) -> None:
        batches.extend(found)

    metrics = Metrics()
    around = Surroundings(
        client=client,
        hand_on=keep,
        metrics=metrics,
        losses=Losses(metrics),
        max_line_bytes=settings.max_line_bytes,
        now=time.monotonic,
        clock=time.time_ns,
    )
    container = describe(facts, LabelOptions(), settings, host="", selects={})
    reading = Reading(facts, container, Cursor(), around)
    stream = reading.stream(partial=True)
    async with reading.open(since=None, tail=tail, follow=False) as chunks:
        async for chunk in chunks:
            await reading.take(stream, stream.feed(chunk, time.time_ns()))
    await reading.take(stream, stream.finish(time.time_ns()))
    records = [batch.rows(row, row + 1) for batch in batches for row in range(len(batch))]
    return sorted(records, key=lambda record: record.timestamps[0])


def _options(facts: ContainerFacts) -> LabelOptions:
    options, problems = read_labels(facts.labels, container_name=facts.name)
    if problems:
        raise UsageError("\n".join(problems))
    return options


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _keys(batch: Batch) -> Sequence[int]:
    """By what a record is known again: the Engine's time."""
    return batch.timestamps if batch.read_at is None else batch.read_at


def labels_of(given: Iterable[str]) -> dict[str, str]:
    """Labels as they were typed, `name=value`, with the prefix in any case. Raises UsageError."""
    labels = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--label {text}: a label is written NAME=VALUE")
        labels[PREFIX + name.removeprefix(PREFIX)] = value
    return labels
