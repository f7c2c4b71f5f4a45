"""Parsed fields as flat names and values, for formats without objects: `{"http":{"status":500}}` is `http.status`.

Bounded, and in the letters that a format allows, whatever a container wrote. What is beyond a bound is left out, as
are nulls, empty texts, empty arrays and empty objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from agent.batch import Batch

Value: TypeAlias = str | bool | int | float

MOST_FIELDS = 64
#: Of all names and texts of one record.
MOST_BYTES = 32_000
MOST_NAME_CHARACTERS = 128
#: Deeper objects are their JSON, as arrays are.
MOST_DEPTH = 5
#: Before the name of a field whose own name is taken.
PREFIX = "fields."
_NUMBER_BYTES = 8
_INT64 = 1 << 63
_MOST_KNOWN = 4096


def parsed(batch: Batch) -> tuple[bytes, Sequence[bytes | None]]:
    """The columns `levels` and `fields`, also where the batch has none."""
    return batch.levels or bytes(len(batch)), batch.fields or [None] * len(batch)


@dataclass(slots=True)
class Flattened:
    """Makes names and values of the fields of a batch, row by row; of names that become the same the first stays.

    names  a dotted name in the format's letters; empty: nothing is left of it
    taken  names that no field may have
    most   how many fields a record may have
    """

    names: Callable[[str], str]
    taken: Collection[str] = ()
    most: int = MOST_FIELDS
    _known: dict[str, str] = field(default_factory=dict)

    def values(self, fields: bytes | None) -> dict[str, Value]:
        """Of a row's `Batch.fields`, in order; none of None."""
        found: dict[str, Value] = {}
        if fields is not None:
            self._add(found, orjson.loads(fields), "", MOST_BYTES, MOST_DEPTH)
        return found

    def texts(self, fields: bytes | None) -> Mapping[str, str]:
        """The same for formats that know texts alone."""
        return {name: as_text(value) for name, value in self.values(fields).items()}

    def _add(
        self, found: dict[str, Value], fields: Mapping[str, Any], before: str, room: int, depth: int
    ) -> int:
        """Adds an object's fields, of up to `room` bytes; how many are left."""
        known, most = self._known, self.most
        for key, value in fields.items():
            path, kind = before + key, type(value)
            if kind is dict and depth > 1:
                if len(path) <= MOST_NAME_CHARACTERS:
                    room = self._add(found, value, f"{path}.", room, depth - 1)
                continue
            name = known.get(path)
            if name is None:
                name = self._name(path)
            if not name or name in found or len(found) >= most:
                continue
            if kind is str:
                size = len(value) if value.isascii() else len(value.encode())
            elif kind is bool or kind is float or (kind is int and -_INT64 <= value < _INT64):
                size = _NUMBER_BYTES
            elif value:
                value = orjson.dumps(value).decode()  # noqa: PLW2901 - as it is sent
                size = len(value.encode())
            else:
                continue
            size += len(name)
            if value != "" and size <= room:
                found[name] = value
                room -= size
        return room

    def _name(self, path: str) -> str:
        """What the field is called; empty: it is not sent."""
        name = self.names(path) if len(path) <= MOST_NAME_CHARACTERS else ""
        if name in self.taken:
            name = self.names(PREFIX + path)
            name = "" if name in self.taken else name
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        if len(path) <= MOST_NAME_CHARACTERS:
            self._known[path] = name
        return name


def as_text(value: Value) -> str:
    """A text as it is, all else as JSON writes it."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
