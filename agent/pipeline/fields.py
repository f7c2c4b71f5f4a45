"""A field of the records, named by settings: `trace_id`, nested `http.status`, or one whose own name has dots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import orjson

from agent.batch import Batch

PREFIX: Final = "field."
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Field:
    """The field of this name. `needle` stands in every JSON text that has it, unless that has escapes."""

    name: str
    needle: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of `field.NAME`. Raises ValueError saying what would have been right."""
        name = text.strip().removeprefix(PREFIX)
        if name == text.strip() or not name:
            raise ValueError(f"a field such as {PREFIX}trace_id")
        return cls(name, orjson.dumps(name.rpartition(".")[2])[1:])

    def texts(self, batch: Batch) -> Sequence[bytes | None]:
        """Its value in each record: the text of a string, any other as JSON; None where there is no such field."""
        if batch.fields is None:
            return [None] * len(batch)
        return [
            self._text(fields) if fields and (self.needle in fields or b"\\" in fields) else None
            for fields in batch.fields
        ]

    def _text(self, fields: bytes) -> bytes | None:
        try:
            value = _find(orjson.loads(fields), self.name)
            if isinstance(value, str):
                return value.encode()
            return None if value is _ABSENT else orjson.dumps(value)
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            return None


def _find(within: object, name: str) -> object:
    """What has this name; of names with dots the longest that is there leads on."""
    if not isinstance(within, Mapping):
        return _ABSENT
    if name in within:
        return within[name]
    dot = name.rfind(".")
    while dot > 0:
        if name[:dot] in within:
            return _find(within[name[:dot]], name[dot + 1 :])
        dot = name.rfind(".", 0, dot)
    return _ABSENT
