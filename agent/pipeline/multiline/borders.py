"""Finds records by patterns of one's own: where one begins, what goes on with it, where it ends."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from agent.pipeline.multiline.lines import DONE, Joined, plain
from agent.pipeline.scan import Wanted

_OPEN: Final = 1


class Borders:
    """At least one pattern, and `begins` where both others are. `digest` is of the patterns.

    begins alone          the lines up to the next such line are one record
    begins and goes_on    it, and the lines behind it that match `goes_on`; other lines are records as they are
    begins and ends       it, and the lines up to one that matches `ends`; likewise
    goes_on alone         a line that matches belongs to the line before it
    ends alone            the lines up to one that matches are one record
    """

    def __init__(self, begins: Wanted | None, goes_on: Wanted | None, ends: Wanted | None) -> None:
        self._begins, self._goes_on, self._ends = begins, goes_on, ends
        self._always = begins is None or (goes_on is None and ends is None)
        self.digest = zlib.crc32(repr((begins, goes_on, ends)).encode())

    def read(self, state: int, messages: Sequence[bytes]) -> Joined:
        """What these lines are, after a record in that state."""
        column = plain(messages)
        begins, goes_on, ends = (
            None if wanted is None else frozenset(wanted.rows(column))
            for wanted in (self._begins, self._goes_on, self._ends)
        )
        spans: list[tuple[int, int]] = []
        first = -1
        for row in range(len(messages)):
            starts = begins is not None and row in begins
            last = ends is not None and row in ends
            joins = state != DONE and not starts and (goes_on is None or row in goes_on or last)
            if not joins:
                if row - first > 1:
                    spans.append((first, row))
                first = row
            may_go_on = not last and (starts or joins or self._always)
            state = _OPEN if may_go_on else DONE
        if len(messages) - first > 1:
            spans.append((first, len(messages)))
        return Joined(spans, state)
