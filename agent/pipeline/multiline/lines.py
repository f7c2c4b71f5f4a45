"""Lines as they are matched: without colours, and without the CR of a line's end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from agent.pipeline.scan import Column

#: A control sequence of ECMA-48, such as a colour.
_CONTROL = re.compile(rb"\x1b\[[0-?]*+[ -/]*+[@-~]")
#: The state of a record to which nothing can be added.
DONE = 0


class Joined(NamedTuple):
    """Which of some lines belong together.

    spans  rows that are one record, first and behind the last, in rising order; the first is -1 where they go on
           with the record that was open before. All other rows are records as they are
    state  how the record of the last line may go on; `DONE`: it does not
    """

    spans: list[tuple[int, int]]
    state: int


def plain(messages: Sequence[bytes]) -> Column:
    """The lines without what nobody sees."""
    column = Column(messages)
    if b"\x1b" not in column.joined and b"\r" not in column.joined:
        return column
    lines = _seen(column.joined).split(b"\n")
    if len(lines) != len(messages):  # a message has newlines of its own
        lines = [_seen(message) for message in messages]
    return Column(lines)


def _seen(text: bytes) -> bytes:
    return _CONTROL.sub(b"", text).replace(b"\r\n", b"\n").removesuffix(b"\r")
