"""`/api/dead-letters`: what a receiver refused, and why. They are read elsewhere, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from aiohttp import web

from agent.http.guard import refusal

DEFAULT, MOST = 100, 500


class Letters(Protocol):
    """Some dead letters, the newest first. `more`: there are older ones."""

    @property
    def letters(self) -> Sequence[Mapping[str, object]]: ...
    @property
    def more(self) -> bool: ...


#: By sink, and how many at most. Blocks; raises OSError.
ReadLetters: TypeAlias = Callable[[str, int], Letters]
_KNOWN: Final = frozenset({"sink", "limit"})


async def dead_letters(
    query: Mapping[str, str], sinks: Collection[str], read: ReadLetters
) -> dict[str, object]:
    """The answer. Raises what is to be answered instead."""
    sink, limit = query.get("sink", ""), query.get("limit", str(DEFAULT))
    if unknown := sorted(query.keys() - _KNOWN):
        raise refusal(web.HTTPBadRequest, f"{unknown[0]!r} is not known; there are sink and limit")
    if sink not in sinks:
        raise refusal(web.HTTPNotFound, f"there is no sink {sink!r}")
    if not (limit.isascii() and limit.isdecimal() and 0 < int(limit) <= MOST):
        raise refusal(web.HTTPBadRequest, f"limit is not a whole number from 1 to {MOST}")
    try:
        found = await asyncio.to_thread(read, sink, int(limit))
    except OSError as error:
        raise refusal(
            web.HTTPInternalServerError, f"the dead letters cannot be read: {error.strerror}"
        ) from error
    return {"sink": sink, "letters": found.letters, "more": found.more}
