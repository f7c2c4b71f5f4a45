"""One field of many objects, by its name: `level`, or `log.level` for that name as for `level` in `log`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.pipeline.parse.parsed import Object


class Path:
    """Where a value is found."""

    __slots__ = ("_parts", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._parts = name.split(".")

    def of(self, made: Object) -> Any:  # noqa: ANN401 - whatever JSON may hold
        """The value; None: there is none."""
        value = made.get(self.name)
        return self._within(made) if value is None and len(self._parts) > 1 else value

    def column(self, objects: Sequence[Object]) -> list[Any]:
        """The values of all of them."""
        if len(self._parts) > 1:
            return list(map(self.of, objects))
        name = self.name
        return [made.get(name) for made in objects]

    def _within(self, made: Object) -> Any:  # noqa: ANN401 - whatever JSON may hold
        value: Any = made
        for part in self._parts:
            value = value.get(part) if isinstance(value, dict) else None
        return value
