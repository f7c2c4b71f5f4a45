"""Selectors: which containers are meant. `name=web-*`, `image=…`, `label=key[=glob]`, `project=…`, `service=…`.

`id=3b6ba57db54a*` too. Between commas any will do; what `&` joins has to be true together, as in
`project=shop&label=tier=web`.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.options import Kind

PROJECT_LABELS = ("com.docker.compose.project", "com.docker.stack.namespace")
SERVICE_LABELS = ("com.docker.compose.service", "com.docker.swarm.service.name")
_FIELDS = ("name", "image", "label", "project", "service", "id")


class Selectable(Protocol):
    """What a selector looks at."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Condition:
    """One of a selector's conditions. `key` is the label's name, for `label=` only."""

    field: str
    pattern: str
    key: str = ""
    _regex: re.Pattern[str] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_regex", re.compile(fnmatch.translate(self.pattern)))

    @classmethod
    def parse(cls, text: str) -> Condition:
        """One condition, as typed. Raises ValueError."""
        kind, equals, value = text.partition("=")
        if text and not equals:
            return cls("name", text)
        if kind not in _FIELDS or not value:
            raise ValueError(
                "a selector such as name=web-*, image=…, label=key=glob, project=…, service=… or id=…"
            )
        if kind == "label":
            key, _, pattern = value.partition("=")
            return cls("label", pattern or "*", key)
        return cls(kind, value)

    def matches(self, container: Selectable) -> bool:
        match self.field:
            case "name":
                values = [container.name]
            case "image":
                values = [container.image]
            case "label":
                values = [container.labels[self.key]] if self.key in container.labels else []
            case "project":
                values = [project_of(container.labels) or ""]
            case "service":
                values = [service_of(container.labels) or ""]
            case _:
                values = [container.id]
        return any(self._regex.match(value) for value in values)

    def __str__(self) -> str:
        key = f"{self.key}=" if self.field == "label" else ""
        return f"{self.field}={key}{self.pattern}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that have to be true together."""

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """One selector, as typed. Raises ValueError."""
        parts = [part.strip() for part in text.split("&")]
        if not all("=" in part for part in parts[1:]):
            raise ValueError(
                "conditions joined by &, each such as label=key=glob (in a glob, ? stands for &)"
            )
        return cls(tuple(map(Condition.parse, parts)))

    def matches(self, container: Selectable) -> bool:
        return all(condition.matches(container) for condition in self.conditions)

    def __str__(self) -> str:
        return "&".join(map(str, self.conditions))


def project_of(labels: Mapping[str, str]) -> str | None:
    """The Compose project or Swarm stack."""
    return next((labels[key] for key in PROJECT_LABELS if key in labels), None)


def service_of(labels: Mapping[str, str]) -> str | None:
    """The Compose or Swarm service."""
    return next((labels[key] for key in SERVICE_LABELS if key in labels), None)


def selected(container: Selectable, include: Sequence[Selector], exclude: Sequence[Selector] = ()) -> bool:
    """Whether any of `include` matches (or there is none) and none of `exclude`."""
    if any(selector.matches(container) for selector in exclude):
        return False
    return not include or any(selector.matches(container) for selector in include)


def _parse(text: str) -> tuple[Selector, ...]:
    return tuple(Selector.parse(part.strip()) for part in text.split(",") if part.strip())


SELECTORS: Kind[tuple[Selector, ...]] = Kind(
    "selectors", _parse, lambda value: ",".join(str(selector) for selector in value)
)
