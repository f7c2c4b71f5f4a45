"""Conditions on records, and the steps that go by them: drop, keep and min_level.

Items with `;` between them, of which any may hold: a pattern on the message, `level<warning`, `field.NAME`,
`field.NAME=PATTERN`, `stream=stderr`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import compress
from typing import Final, Protocol, Self

from agent.batch import Batch, Stream
from agent.level import LEVEL, UNKNOWN, Level
from agent.options import Kind, choice
from agent.pipeline import grammar
from agent.pipeline.fields import PREFIX, Field
from agent.pipeline.scan import Column, Wanted
from agent.pipeline.step import Step, Tally

MAX_ITEMS: Final = 32
_LEVEL: Final = re.compile(r"level\s*(<=|>=|!=|<|>|=)\s*(.*)")
_COMPARE: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_STREAM: Final = choice(*(stream.value for stream in Stream))


class _Condition(Protocol):
    def rows(self, batch: Batch) -> Iterable[int]:
        """The rows for which it holds."""
        ...


@dataclass(frozen=True, slots=True)
class _Message:
    wanted: Wanted

    def rows(self, batch: Batch) -> Iterable[int]:
        return self.wanted.rows(Column(batch.messages))


@dataclass(frozen=True, slots=True)
class _Levels:
    """`holds` has a 1 for each level that is meant; that of an unknown one is 0."""

    holds: bytes

    @classmethod
    def parse(cls, sign: str, word: str) -> _Levels:
        than = grammar.value(LEVEL, "level", word)
        meant = (level != UNKNOWN and _COMPARE[sign](level, than) for level in range(256))
        return cls(bytes(meant))

    def rows(self, batch: Batch) -> Iterable[int]:
        return compress(range(len(batch)), (batch.levels or b"").translate(self.holds))


@dataclass(frozen=True, slots=True)
class _Value:
    field: Field
    wanted: Wanted | None

    def rows(self, batch: Batch) -> Iterable[int]:
        texts = self.field.texts(batch)
        there = [row for row, text in enumerate(texts) if text is not None]
        if self.wanted is None:
            return there
        column = Column([texts[row] or b"" for row in there])
        return [there[place] for place in self.wanted.rows(column)]


@dataclass(frozen=True, slots=True)
class _Of:
    stream: Stream

    def rows(self, batch: Batch) -> Iterable[int]:
        return range(len(batch)) if batch.stream is self.stream else ()


@dataclass(frozen=True, slots=True)
class Conditions:
    """Alternatives; none: off. `text` as typed."""

    text: str
    any: tuple[_Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError saying what would have been right."""
        found = grammar.items(text)
        if len(found) > MAX_ITEMS:
            raise ValueError(f"at most {MAX_ITEMS} conditions")
        return cls(text, tuple(map(_condition, found)))

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.any)

    def rows(self, batch: Batch) -> AbstractSet[int]:
        """The rows for which any of them holds."""
        return {row for condition in self.any for row in condition.rows(batch)}


def _condition(item: str) -> _Condition:
    if level := _LEVEL.fullmatch(item):
        return _Levels.parse(level[1], level[2])
    if stream := grammar.named(item, ["stream"]):
        return _Of(Stream(grammar.value(_STREAM, "stream", stream[1])))
    if item.startswith(PREFIX):
        name, equals, wanted = item.partition("=")
        return _Value(Field.parse(name), Wanted.parse(wanted.strip()) if equals else None)
    return _Message(Wanted.parse(item))


NONE: Final = Conditions("", ())
CONDITIONS: Final[Kind[Conditions]] = Kind("conditions", Conditions.parse, str)


def dropping(conditions: Conditions, tally: Tally) -> Step:
    """Withholds the records that meet any of the conditions."""

    def drop(batch: Batch) -> Batch:
        out = conditions.rows(batch)
        return without(batch, out, "drop", tally) if out else batch

    return drop


def keeping(conditions: Conditions, tally: Tally) -> Step:
    """Withholds the records that meet none of the conditions."""

    def keep(batch: Batch) -> Batch:
        kept = conditions.rows(batch)
        if len(kept) == len(batch):
            return batch
        return without(batch, set(range(len(batch))) - kept, "keep", tally)

    return keep


def at_least(least: Level, tally: Tally) -> Step:
    """Withholds the records of a lower level; those whose level is not known pass."""
    lower = bytes(range(UNKNOWN + 1, least))
    marks = bytes(level in lower for level in range(256))

    def min_level(batch: Batch) -> Batch:
        if batch.levels is None or len(batch.levels.translate(None, lower)) == len(batch):
            return batch
        out = set(compress(range(len(batch)), batch.levels.translate(marks)))
        return without(batch, out, "min_level", tally)

    return min_level


def without(batch: Batch, out: AbstractSet[int], reason: str, tally: Tally) -> Batch:
    """The batch without these rows, which are entered as withheld for that reason."""
    tally.withheld(reason, len(out))
    kept: Sequence[int] = [row for row in range(len(batch)) if row not in out]
    return batch.pick(kept)
