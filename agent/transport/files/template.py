"""Where a container's records go: a path with `{{…}}` in it, and no way out of its directory.

The markup is the tag's. What a container says of itself (a label is anybody's text) becomes part of one name:
it holds no `/`, NUL or control character, is neither empty, `.` nor `..`, is short enough for a file name, and
cannot make a file look like a rotated one of its neighbour. Two containers may well come to the same file; they
share it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from agent.tag import Tag, Taggable
from agent.transport.files.rotation import is_rotated

#: NAME_MAX is 255 bytes; `.1234.zst` and the like must still fit behind it.
MAX_NAME_BYTES = 230
LEAST_PART_BYTES = 16
_DIGEST_BYTES = 4
_UNFIT = re.compile("[\x00-\x1f\x7f/\ud800-\udfff]")

_Part: TypeAlias = "str | Callable[[Taggable], str]"


@dataclass(frozen=True, slots=True)
class _Name:
    """One step of the path: its parts, and how many bytes each that comes from a container may have."""

    parts: tuple[_Part, ...]
    limit: int

    @property
    def fixed(self) -> bool:
        return all(isinstance(part, str) for part in self.parts)

    def render(self, container: Taggable) -> str:
        return "".join(
            part if isinstance(part, str) else _fit(part(container), self.limit) for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed path. `root`: the directory above the first name that a container has a say in."""

    root: str
    names: tuple[_Name, ...]

    @classmethod
    def parse(cls, text: str) -> PathTemplate:
        """The template `text`. Raises ValueError saying what would have been right."""
        if not text.startswith("/"):
            raise ValueError("an absolute path")
        names = [_name(parts) for parts in _steps(Tag.parse(text).parts)]
        if not names or not names[-1].parts:
            raise ValueError("the path of a file, not of a directory")
        names = [name for name in names if name.parts and name.parts != (".",)]
        if any(name.parts == ("..",) or "\0" in "".join(_literals(name.parts)) for name in names):
            raise ValueError("a path without '..' or NUL")
        fixed = 0
        while fixed < len(names) - 1 and names[fixed].fixed:
            fixed += 1
        above = ["".join(_literals(name.parts)) for name in names[:fixed]]
        return cls("/" + "/".join(above), tuple(names[fixed:]))

    def render(self, container: Taggable) -> str:
        """The file for this container, below `root`."""
        names = [name.render(container) for name in self.names]
        if is_rotated(names[-1]) and not self.names[-1].fixed:
            names[-1] += "_"
        return "/".join([self.root.rstrip("/"), *names])


def _steps(parts: tuple[_Part, ...]) -> list[tuple[_Part, ...]]:
    """The parts between the slashes; what stands in front of the first is dropped."""
    steps: list[list[_Part]] = [[]]
    for part in parts:
        if isinstance(part, str):
            first, *more = part.split("/")
            steps[-1] += [first] if first else []
            steps += [[text] if text else [] for text in more]
        else:
            steps[-1].append(part)
    return [tuple(step) for step in steps[1:]]


def _name(parts: tuple[_Part, ...]) -> _Name:
    asked = sum(not isinstance(part, str) for part in parts)
    left = MAX_NAME_BYTES - sum(len(text.encode(errors="replace")) for text in _literals(parts))
    if left < LEAST_PART_BYTES * asked:
        raise ValueError(f"a path of names shorter than {MAX_NAME_BYTES} bytes")
    return _Name(parts, left // asked if asked else 0)


def _literals(parts: tuple[_Part, ...]) -> list[str]:
    return [part for part in parts if isinstance(part, str)]


def _fit(text: str, limit: int) -> str:
    """`text` as (part of) a name of at most `limit` bytes; long ones are cut and kept apart by a digest."""
    text = _UNFIT.sub("_", text) or "_"
    if text in {".", ".."}:
        return "_" * len(text)
    data = text.encode()
    if len(data) <= limit:
        return text
    digest = hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
    return data[: limit - len(digest) - 1].decode(errors="ignore") + "~" + digest
