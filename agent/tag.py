"""The tag: a container's short name in every record, in the markup of Docker's own `--log-opt tag`.

Source: moby daemon/logger/loginfo.go, and docs "Customize log driver output". Of Go's template language the
fields below and `index .Labels "key"`, `index .Env "KEY"` are understood; a label or variable that is not set
gives nothing, as there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.options import Kind


class Taggable(Protocol):
    """What a tag is made of."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def image_id(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def env(self) -> Mapping[str, str]: ...


#: A label may hold a template, too, of any length.
MAX_CHARACTERS = 4096
_SHORT = 12
_FIELDS: dict[str, Callable[[Taggable], str]] = {
    "ID": lambda container: container.id[:_SHORT],
    "FullID": lambda container: container.id,
    "Name": lambda container: container.name,
    "ImageID": lambda container: container.image_id.removeprefix("sha256:")[:_SHORT],
    "ImageFullID": lambda container: container.image_id,
    "ImageName": lambda container: container.image,
    "DaemonName": lambda _: "docker",
}
_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)  # blanks taken apart here would take cubic time
_FIELD = re.compile(r"\.([A-Za-z]+)")
_INDEX = re.compile(r'index\s+\.(Labels|Env)\s+(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tag:
    """A parsed template: `text` as typed, `parts` in order, each literal text or what to ask a container."""

    text: str
    parts: tuple[str | Callable[[Taggable], str], ...]

    @classmethod
    def parse(cls, text: str) -> Tag:
        """The template `text`. Raises ValueError saying what is understood."""
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"a template of at most {MAX_CHARACTERS} characters")
        parts: list[str | Callable[[Taggable], str]] = []
        end = 0
        for match in _ACTION.finditer(text):
            code = match[1].removeprefix("-").removesuffix("-").strip()
            parts += [text[end : match.start()], _action(code)]
            end = match.end()
        parts.append(text[end:])
        if any("{{" in part for part in parts if isinstance(part, str)):
            raise ValueError("a template: a '{{' has no '}}'")
        return cls(text, tuple(part for part in parts if part != ""))

    def render(self, container: Taggable) -> str:
        """The tag of this container."""
        return "".join(part if isinstance(part, str) else part(container) for part in self.parts)

    @property
    def varies(self) -> bool:
        """Whether it depends on the container."""
        return not all(isinstance(part, str) for part in self.parts)

    def __str__(self) -> str:
        return self.text


def _action(code: str) -> Callable[[Taggable], str]:
    field = _FIELD.fullmatch(code)
    if field and field[1] in _FIELDS:
        return _FIELDS[field[1]]
    index = _INDEX.fullmatch(code)
    if index is None:
        known = " ".join(f"{{{{.{name}}}}}" for name in _FIELDS)
        raise ValueError(
            f'a template of {known} {{{{index .Labels "key"}}}} {{{{index .Env "KEY"}}}} '
            f"({{{{{code}}}}} is none of them)"
        )
    key = re.sub(r"\\(.)", r"\1", index[2]) if index[2] is not None else index[3]
    if index[1] == "Labels":
        return lambda container: container.labels.get(key, "")
    return lambda container: container.env.get(key, "")


TAG: Kind[Tag] = Kind("template", Tag.parse)
