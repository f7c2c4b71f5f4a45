"""Formats of text: one line at a time, as an object of texts and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from agent.options import KiB
from agent.pipeline.parse import bounds
from agent.pipeline.parse.parsed import Format, Object, Parsed, spread

#: Longer lines are left as they are.
MAX_LINE_BYTES: Final = 64 * KiB


def of_text(read: Callable[[bytes], Object | None]) -> Format:
    """The format whose lines `read` understands one by one; None: not this one."""

    def parse(messages: Sequence[bytes]) -> Parsed:
        rows: list[int] = []
        objects: list[Object] = []
        for row, message in enumerate(messages):
            if len(message) <= MAX_LINE_BYTES and (made := read(message)) is not None:
                rows.append(row)
                objects.append(made)
        count = len(messages)
        return spread(Parsed(objects, bounds.encode(objects), count - len(rows)), rows, count)

    return parse
