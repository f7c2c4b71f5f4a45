"""What a format made of lines: an object and its JSON text a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

Object: TypeAlias = dict[str, Any]

#: Stands where a row was not parsed; never written to.
NOTHING: Final[Object] = {}


@dataclass(frozen=True, slots=True)
class Parsed:
    """Columns as long as the lines. Of a row that was not parsed the object is empty and `fields` None.

    failed  rows of which another result was expected
    """

    objects: Sequence[Object]
    fields: Sequence[bytes | None]
    failed: int = 0


class Format(Protocol):
    """Reads lines of one form. Never raises for what they hold."""

    def __call__(self, messages: Sequence[bytes]) -> Parsed: ...


def spread(found: Parsed, rows: Sequence[int], count: int) -> Parsed:
    """What was found in these rows of `count`; nothing in the others."""
    if len(rows) == count:
        return found
    objects: list[Object] = [NOTHING] * count
    fields: list[bytes | None] = [None] * count
    for row, made, text in zip(rows, found.objects, found.fields, strict=True):
        objects[row], fields[row] = made, text
    return Parsed(objects, fields, found.failed)
