"""The step: what a format found becomes columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.batch import Batch
from agent.pipeline.grammar import OFF
from agent.pipeline.parse.clock import Clock
from agent.pipeline.parse.grade import Grade
from agent.pipeline.parse.parsed import Format, Object
from agent.pipeline.parse.path import Path
from agent.pipeline.step import Tally


@dataclass(frozen=True, slots=True)
class Taken:
    """Names of the fields that have a meaning.

    level        the level; None: the usual names; `off`: none
    time         the record's own time; None: the Engine's stays
    time_format  how that field is written, as `strptime` takes it
    message      the text that becomes the message; None: the line stays
    """

    level: str | None = None
    time: str | None = None
    time_format: str | None = None
    message: str | None = None


class Parsing:
    """Lines of one container → fields, levels, times, messages."""

    def __init__(self, parse: Format, taken: Taken, tally: Tally) -> None:
        self._parse = parse
        self._tally = tally
        self._grade = None if taken.level == OFF else Grade(taken.level)
        self._clock = None if taken.time is None else Clock(taken.time, taken.time_format)
        self._message = None if taken.message is None else Path(taken.message)

    def __call__(self, batch: Batch) -> Batch:
        found = self._parse(batch.messages)
        if found.failed:
            self._tally.unparsed(found.failed)
        if found.fields.count(None) == len(batch):
            return batch
        parsed = replace(
            batch,
            fields=found.fields,
            levels=self._grade(found.objects) if self._grade else batch.levels,
            encoded={},
        )
        if self._clock:
            _set_times(parsed, self._clock, found.objects)
        if self._message:
            parsed.messages = _messages(batch.messages, self._message, found.objects)
            parsed.undecodable = frozenset()
        return parsed


def _set_times(batch: Batch, clock: Clock, objects: Sequence[Object]) -> None:
    read_at = batch.timestamps if batch.read_at is None else batch.read_at
    stamps = clock(objects, read_at)
    if stamps is not None:
        batch.timestamps, batch.read_at, batch.times = stamps, read_at, None


def _messages(lines: Sequence[bytes], path: Path, objects: Sequence[Object]) -> list[bytes]:
    return [
        value.encode() if isinstance(value, str) else line
        for value, line in zip(path.column(objects), lines, strict=True)
    ]
