"""A pattern of the user's own: its named groups become fields, those that matched."""

from __future__ import annotations

from collections.abc import Callable

from agent.pipeline.parse.parsed import Object
from agent.pipeline.patterns import Pattern


def reader(pattern: Pattern) -> Callable[[bytes], Object | None]:
    """What reads one line with this pattern, wherever in the line it matches."""
    groups = [(name.decode(), number) for name, number in pattern.groupindex.items()]

    def read(line: bytes) -> Object | None:
        match = pattern.search(line)
        if match is None:
            return None
        values = ((name, match.group(number)) for name, number in groups)
        return {name: value.decode(errors="replace") for name, value in values if value is not None}

    return read
