"""Search: which rows of a column may hold secrets, and of which sort. For most rows one search tells: none.

Escapes are resolved for it, as what they hide is looked for as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from agent.pipeline.redact.escapes import DEPTH, resolved
from agent.pipeline.redact.finders import Finder, Own
from agent.pipeline.scan import Column, Wanted


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: known secrets with a clue for each and one for all of them, and the user's own."""

    known: tuple[tuple[Wanted, Finder], ...]
    any_known: Wanted | None
    own: tuple[Own, ...]

    @classmethod
    def of(cls, known: Sequence[Finder], own: Sequence[Own]) -> Self:
        """For the secrets of these."""
        together = "|".join(f"(?:{finder.clue})" for finder in known)
        return cls(
            tuple((Wanted.parse(finder.clue), finder) for finder in known),
            Wanted.parse(together) if known else None,
            tuple(own),
        )

    @property
    def finders(self) -> tuple[Finder, ...]:
        return (*(finder for _, finder in self.known), *self.own)

    def suspects(self, texts: Sequence[bytes]) -> dict[int, list[Finder]]:
        """The rows that may hold a secret, each with the finders that may find it."""
        rows: Sequence[int] = range(len(texts))
        found = defaultdict[int, list[Finder]](list)
        for depth in range(DEPTH + 1):
            column = Column(texts)
            for place, finder in self._clued(column):
                found[rows[place]].append(finder)
            if depth == DEPTH or b"\\" not in column.joined:
                break
            escaped = [place for place, text in enumerate(texts) if b"\\" in text]
            rows, texts = [rows[place] for place in escaped], resolved([texts[place] for place in escaped])
        return found

    def _clued(self, column: Column) -> Iterator[tuple[int, Finder]]:
        if self.any_known is not None:
            rows = self.any_known.rows(column)
            near = Column([column.texts[row] for row in rows])
            for clue, finder in self.known:
                places = clue.rows(near) if len(self.known) > 1 else range(len(rows))
                yield from ((rows[place], finder) for place in places)
        for finder in self.own:
            yield from ((row, finder) for row in finder.wanted.rows(column))
