r"""How the value of a step's setting is written: items with `;` between them, some of them `name=value`.

The same in a variable, a label and a sink's URL (there percent-escaped). In a pattern a `;` is written `\x3b`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeVar

from agent.options import KiB, Kind, unknown

#: The value that switches a step off, where a default would switch it on.
OFF: Final = "off"
MAX_CHARACTERS: Final = 64 * KiB
_MOST_QUOTED: Final = 60
T = TypeVar("T")


def items(text: str) -> list[str]:
    """The items, without blanks around them; none of `off`. Raises ValueError for a text that is too long."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a text of at most {MAX_CHARACTERS} characters")
    parts = [part.strip() for part in text.split(";")]
    return [part for part in parts if part] if text.strip().lower() != OFF else []


def named(item: str, names: Collection[str]) -> tuple[str, str] | None:
    """An item `name=value` of one of these names, as both; None: it is none."""
    name, equals, value = item.partition("=")
    return (name.strip(), value.strip()) if equals and name.strip() in names else None


def nearest(word: str, words: Collection[str]) -> str:
    """The complaint about a word that is none of these, for a ValueError: what would have been right."""
    return f"one of {', '.join(words)} ({unknown(repr, word[:_MOST_QUOTED], words)})"


def value(kind: Kind[T], name: str, text: str) -> T:
    """The text of `name=text` as a value. Raises ValueError that names it."""
    try:
        return kind.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}= with {error}") from None
