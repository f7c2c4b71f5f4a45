"""Which rows of a column a pattern matches: one search over all of them joined, instead of one for each.

Plain functions over bytes. Source: github.com/google/re2, whose search of a joined column costs a fifth of the
searches of its rows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Final

from agent.pipeline import patterns
from agent.pipeline.patterns import Pattern

#: Bytes that all searches for one pattern may pass over in one text. RE2 is linear in one search; but a pattern
#: that looks to the end of the text for each of its matches is not, over all of them.
EFFORT_BYTES: Final = 64 << 20
#: What means the ends of the text, and not of a line: another thing in a joined column.
_TEXT_ENDS: Final = re.compile(r"\\[AzZ]|\(\?[a-zA-Z]*-")


class Column:
    """Texts, and all of them joined by newlines."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.texts = texts
        self.joined = b"\n".join(texts)

    @cached_property
    def _starts(self) -> list[int]:
        """Where each text begins in `joined`; and where one after the last would."""
        return list(accumulate((len(text) + 1 for text in self.texts), initial=0))

    def touched(self, pattern: Pattern) -> Iterator[tuple[int, bool]]:
        """Every row that a match in `joined` touches, in order; and whether the match lies inside of it.

        A row that is left out has no match of its own. The pattern is not to mean the ends of the text.
        """
        if not self.texts:
            return
        at, left = 0, 1 + EFFORT_BYTES // max(1, len(self.joined))
        while left and (match := pattern.search(self.joined, at)) is not None:
            starts = self._starts
            start, end = match.span()
            row = bisect_right(starts, start) - 1
            last = bisect_right(starts, max(start, end - 1), lo=row) - 1
            inside = row == last and end < starts[row + 1]
            while row <= last:
                yield row, inside
                row += 1
            at, left = starts[row], left - 1
            if row == len(self.texts):
                return
        if not left:
            yield from ((row, False) for row in range(bisect_right(self._starts, at) - 1, len(self.texts)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pattern to look for in each of many texts; `^` and `$` are the ends of its lines."""

    text: str
    pattern: Pattern = field(compare=False, repr=False)
    by_row: bool

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Raises ValueError saying what would have been right."""
        return cls(text, patterns.pattern(text, flags="m"), by_row=_TEXT_ENDS.search(text) is not None)

    def rows(self, column: Column) -> list[int]:
        """The texts in which it matches, in rising order."""
        search = self.pattern.search
        if self.by_row:
            return [row for row, text in enumerate(column.texts) if search(text)]
        return [row for row, inside in column.touched(self.pattern) if inside or search(column.texts[row])]
