"""What a client of the tail asks to see: containers, levels, a text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from agent.batch import Container
from agent.level import LEVEL, Level
from agent.options import KiB
from agent.selectors import PROJECT_LABELS, SELECTORS, SERVICE_LABELS, Selector, selected

QUERY_MOST_BYTES: Final = 4 * KiB
_CONTAINERS_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Known:
    """A container as selectors look at one; of its labels those that are sent along."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str]

    @classmethod
    def of(cls, container: Container) -> Self:
        own = {PROJECT_LABELS[0]: container.project, SERVICE_LABELS[0]: container.service}
        known = {key: value for key, value in own.items() if value is not None}
        return cls(container.id, container.name, container.image, {**container.labels, **known})


class Wanted:
    """Which containers, which lines. `level` None, `text` empty: all."""

    def __init__(
        self, select: Sequence[Selector] = (), level: Level | None = None, text: bytes = b""
    ) -> None:
        self._select, self._level, self._text = select, level, text
        self._any_case = text == text.lower()
        self._containers: dict[str, tuple[Container, bool]] = {}

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Wanted:
        """From `select`, `level` and `q`. Raises ValueError saying which is wrong and why."""
        for name in query:
            if name not in {"select", "level", "q"}:
                raise ValueError(f"{name!r} is not known; there are select, level and q")
        text = query.get("q", "").encode(errors="replace")
        if len(text) > QUERY_MOST_BYTES:
            raise ValueError(f"q: more than {QUERY_MOST_BYTES} bytes")
        try:
            select = SELECTORS.parse(query.get("select", ""))
        except ValueError as error:
            raise ValueError(f"select is not {error}") from None
        try:
            level = LEVEL.parse(query["level"]) if query.get("level") else None
        except ValueError as error:
            raise ValueError(f"level is not {error}") from None
        return cls(select, level, text)

    def container(self, container: Container) -> bool:
        """Whether lines of this container are wanted. Looked at once for each description of it."""
        if not self._select:
            return True
        known = self._containers.get(container.id)
        if known is None or known[0] is not container:
            if len(self._containers) >= _CONTAINERS_MOST:
                self._containers.clear()
            known = container, selected(_Known.of(container), self._select)
            self._containers[container.id] = known
        return known[1]

    def rows(self, messages: Sequence[bytes], levels: bytes | None) -> Sequence[int]:
        """The rows that are wanted."""
        rows: Sequence[int] = range(len(messages))
        if self._level is not None:
            least = self._level
            rows = [row for row, level in enumerate(levels or b"") if level >= least]
        if text := self._text:
            together = b"\n".join(messages)  # most have it nowhere: one look is less than many
            if text not in (together.lower() if self._any_case else together):
                return ()
            if self._any_case:
                return [row for row in rows if text in messages[row].lower()]
            return [row for row in rows if text in messages[row]]
        return rows
