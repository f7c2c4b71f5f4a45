"""rate: so many records a second, minute or hour of one container, and a record that says how many were more.

100/s;burst=500;every=10s
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from agent.batch import Batch, rfc3339
from agent.level import Level
from agent.options import DURATION, Kind, integer
from agent.pipeline import grammar
from agent.pipeline.step import Tally

_RATE: Final = re.compile(r"([0-9]{1,9})\s*/\s*([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_NAMES: Final = ("burst", "every")
_BURST: Final = integer(1, 1_000_000_000)
_EVERY_S: Final = 10.0
#: A flood is over when nothing was withheld for so long.
QUIET_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A parsed `rate`. `text` as typed; `records` 0: off.

    seconds  for which `records` are allowed
    burst    most records at once, after a pause
    every    least seconds between two records that tell what was withheld
    """

    text: str = ""
    records: int = 0
    seconds: int = 1
    burst: int = 0
    every: float = _EVERY_S

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError saying what would have been right."""
        records, seconds, burst, every = 0, 1, 0, _EVERY_S
        for item in grammar.items(text):
            match grammar.named(item, _NAMES):
                case ("burst", given):
                    burst = grammar.value(_BURST, "burst", given)
                case (_, given):
                    every = grammar.value(DURATION, "every", given)
                case _:
                    found = _RATE.fullmatch(item)
                    if records or found is None or not int(found[1]):
                        raise ValueError(
                            "a rate such as 100/s, 6000/m or 1000/h, and burst= or every= behind it"
                        )
                    records, seconds = int(found[1]), _SECONDS[found[2]]
        if text and not records and grammar.items(text):
            raise ValueError("a rate such as 100/s beside burst= and every=")
        return cls(text, records, seconds, burst or records, every)

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return self.records > 0

    @property
    def said(self) -> str:
        """`100/s`."""
        unit = next(unit for unit, seconds in _SECONDS.items() if seconds == self.seconds)
        return f"{self.records}/{unit}"

    def step(self, tally: Tally) -> Limiter:
        """What limits the batches of one container."""
        return Limiter(self, tally)


@dataclass(slots=True)
class _Flood:
    """What was withheld and is not told yet. `last`: the last such record, without its message."""

    first_ns: int
    began: float
    last: Batch
    at: float
    records: int = 0


class Limiter:
    """A step that holds back only what it has to say itself. A bucket of `burst` tokens, one for each record."""

    def __init__(self, rule: Rate, tally: Tally) -> None:
        self._rule = rule
        self._tally = tally
        self._tokens = float(rule.burst)
        self._filled_at: float | None = None
        self._flood: _Flood | None = None
        self._told_at = float("-inf")

    def feed(self, batch: Batch, now: float) -> Sequence[Batch]:
        """What of it may pass; the records it tells of come before those that follow."""
        passing = min(len(batch), self._take(len(batch), now))
        if passing == len(batch):
            return [*self.flush(now), batch]
        self._withhold(batch, passing, now)
        head = [batch.rows(0, passing)] if passing else []
        return [*head, *self.flush(now)]

    def due(self) -> float | None:
        flood = self._flood
        if flood is None:
            return None
        told_next = self._told_at + self._rule.every
        return max(told_next, min(flood.at + QUIET_S, flood.began + self._rule.every))

    def flush(self, now: float) -> Sequence[Batch]:
        due = self.due()
        return () if due is None or now < due else self._tell(now)

    def finish(self) -> Sequence[Batch]:
        return () if self._flood is None else self._tell(self._flood.at)

    def _take(self, wanted: int, now: float) -> int:
        """How many tokens there are, of which `wanted` at the most are taken."""
        rule = self._rule
        passed = 0.0 if self._filled_at is None else max(0.0, now - self._filled_at)
        self._filled_at = now
        self._tokens = min(float(rule.burst), self._tokens + passed * rule.records / rule.seconds)
        there = int(self._tokens)
        self._tokens -= min(there, wanted)
        return there

    def _withhold(self, batch: Batch, passing: int, now: float) -> None:
        records = len(batch) - passing
        self._tally.withheld("rate", records)
        last = replace(
            batch.rows(len(batch) - 1, len(batch)),
            messages=[b""],
            truncated=frozenset(),
            levels=bytes([Level.WARNING]),
            fields=None,
            undecodable=frozenset(),
        )
        if self._flood is None:
            self._flood = _Flood(batch.timestamps[passing], now, last, now)
        self._flood.last, self._flood.at = last, now
        self._flood.records += records

    def _tell(self, now: float) -> Sequence[Batch]:
        flood, self._flood, self._told_at = self._flood, None, now
        if flood is None:
            return ()
        records = "1 record" if flood.records == 1 else f"{flood.records:,} records"
        since = rfc3339(flood.first_ns).decode()
        message = f"{records} withheld since {since} (rate {self._rule.said})"
        return (replace(flood.last, messages=[message.encode()], encoded={}),)


UNLIMITED: Final = Rate()
RATE: Final[Kind[Rate]] = Kind("rate", Rate.parse, str)
