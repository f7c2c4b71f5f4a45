"""sample: one record in so many, by count or by the value of a field; some excepted.

10;by=field.trace_id;except=level>=warning
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

from agent.batch import Batch
from agent.options import Kind, integer
from agent.pipeline import grammar
from agent.pipeline.conditions import NONE, Conditions, without
from agent.pipeline.fields import Field
from agent.pipeline.step import Tally

_ONE_IN: Final = integer(1, 1_000_000_000)
_NAMES: Final = ("by", "except")


@dataclass(frozen=True, slots=True)
class Sampling:
    """A parsed `sample`. `text` as typed; `one_in` 1: off."""

    text: str = ""
    one_in: int = 1
    by: Field | None = None
    exempt: Conditions = NONE

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError saying what would have been right."""
        one_in, by = 0, None
        exempt: list[str] = []
        for item in grammar.items(text):
            match grammar.named(item, _NAMES):
                case ("by", name):
                    by = Field.parse(name)
                case (_, condition):
                    exempt.append(condition)
                case _ if one_in:
                    raise ValueError(grammar.nearest(item, [f"{name}=" for name in _NAMES]))
                case _:
                    one_in = _ONE_IN.parse(item.removeprefix("1/"))
        if (by or exempt) and not one_in:
            raise ValueError("a number such as 10 (one in ten), before by= and except=")
        return cls(text, one_in or 1, by, Conditions.parse(";".join(exempt)))

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return self.one_in > 1

    def step(self, tally: Tally) -> Sampler:
        """What samples the batches of one container."""
        return Sampler(self, tally)


class Sampler:
    """A step. `seen`: how many records it has counted; the first of each `one_in` stays."""

    def __init__(self, rule: Sampling, tally: Tally) -> None:
        self._rule = rule
        self._tally = tally
        self.seen = 0

    def __call__(self, batch: Batch) -> Batch:
        by, exempt = self._rule.by, self._rule.exempt.rows(batch)
        out = self._by_count(batch, exempt) if by is None else self._by_value(batch, by) - exempt
        return without(batch, out, "sample", self._tally) if out else batch

    def _by_count(self, batch: Batch, exempt: AbstractSet[int]) -> set[int]:
        one_in = self._rule.one_in
        counted = [row for row in range(len(batch)) if row not in exempt] if exempt else range(len(batch))
        kept = counted[-self.seen % one_in :: one_in]
        self.seen += len(counted)
        return {*counted}.difference(kept)

    def _by_value(self, batch: Batch, by: Field) -> set[int]:
        one_in = self._rule.one_in
        return {
            row
            for row, value in enumerate(by.texts(batch))
            if value is not None and int.from_bytes(blake2b(value, digest_size=8).digest()) % one_in
        }


ALL: Final = Sampling()
SAMPLE: Final[Kind[Sampling]] = Kind("sample", Sampling.parse, str)
