"""What `multiline` may say: languages, or patterns of one's own, and bounds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypeVar

from agent.options import KiB, Kind, MiB, duration, integer, show_duration, show_size, size
from agent.pipeline import grammar
from agent.pipeline.multiline.borders import Borders
from agent.pipeline.multiline.lines import Joined
from agent.pipeline.multiline.presets import PRESETS
from agent.pipeline.multiline.traces import Traces
from agent.pipeline.scan import Wanted

T = TypeVar("T", int, float)
#: All languages at once.
AUTO: Final = "auto"
#: Lines that begin with a blank or a tab belong to the line before.
INDENT: Final = "indent"
_INDENTED: Final = r"^[ \t]"
_WORDS: Final = (*PRESETS, AUTO, INDENT)


class Grammar(Protocol):
    """Tells which lines belong together. States of another `digest` mean other things."""

    digest: int

    def read(self, state: int, messages: Sequence[bytes]) -> Joined:
        """What these lines are, after a record in that state."""
        ...


def _within(parse: Callable[[str], T], show: Callable[[T], str], least: T, most: T) -> Kind[T]:
    def checked(text: str) -> T:
        value = parse(text)
        if not least <= value <= most:
            raise ValueError(f"a value from {show(least)} to {show(most)}")
        return value

    return Kind("", checked, show)


def _pattern(text: str) -> Wanted:
    if not text:
        raise ValueError("a pattern")
    return Wanted.parse(text)


_PATTERN: Final = Kind("pattern", _pattern, lambda wanted: wanted.text)
#: What is written `name=value`: the field of `Rule` it is for, and its kind.
_NAMED: Final[Mapping[str, tuple[str, Kind[Any]]]] = {
    "start": ("begins", _PATTERN),
    "continue": ("goes_on", _PATTERN),
    "end": ("ends", _PATTERN),
    "timeout": ("timeout", _within(duration, show_duration, 0.01, 60.0)),
    "max_lines": ("max_lines", integer(2, 10_000)),
    "max_bytes": ("max_bytes", _within(size, show_size, KiB, MiB)),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Which lines are one record. False: each is one.

    presets               languages, `auto` or `indent`
    begins, goes_on, ends patterns in place of them: see `Borders`
    timeout               seconds after its last line when a record is taken to be whole
    max_lines, max_bytes  what is longer goes on as a further record. 256 KiB is what Loki, CloudWatch and Google
                          take; and what is held is saved with every batch
    """

    presets: tuple[str, ...] = ()
    begins: Wanted | None = None
    goes_on: Wanted | None = None
    ends: Wanted | None = None
    timeout: float = 1.0
    max_lines: int = 2000
    max_bytes: int = 256 * KiB

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError saying what would have been right."""
        presets: dict[str, None] = {}
        given: dict[str, Any] = {}
        for item in grammar.items(text):
            if (pair := grammar.named(item, _NAMED)) is None:
                if item.lower() not in _WORDS:
                    raise ValueError(grammar.nearest(item, (*_WORDS, *(f"{name}=…" for name in _NAMED))))
                presets[item.lower()] = None
                continue
            field, kind = _NAMED[pair[0]]
            if field in given:
                raise ValueError(f"a rule with {pair[0]}= once")
            given[field] = grammar.value(kind, *pair)
        rule = cls(tuple(presets), **given)
        if given and not rule:
            raise ValueError(f"a rule that says which lines: {', '.join(_WORDS)}, start=, continue= or end=")
        rule._check()
        return rule

    def _check(self) -> None:
        """Raises ValueError for what makes no sense together."""
        patterns = bool(self.begins or self.goes_on or self.ends)
        if self.presets and patterns:
            raise ValueError("either presets or patterns (start=, continue=, end=)")
        if INDENT in self.presets and len(self.presets) > 1:
            raise ValueError("indent alone: it joins the lines of every language's traces that are indented")
        if self.goes_on and self.ends and not self.begins:
            raise ValueError("a rule with start= where both continue= and end= are")

    def __str__(self) -> str:
        default = type(self)()
        named = [
            f"{name}={kind.show(value)}"
            for name, (field, kind) in _NAMED.items()
            if (value := getattr(self, field)) != getattr(default, field)
        ]
        return ";".join((*self.presets, *named)) or grammar.OFF

    def __bool__(self) -> bool:
        return bool(self.presets or self.begins or self.goes_on or self.ends)

    @property
    def grammar(self) -> Grammar:
        """What reads lines by this rule."""
        if INDENT in self.presets:
            return Borders(None, Wanted.parse(_INDENTED), None)
        if self.begins or self.goes_on or self.ends:
            return Borders(self.begins, self.goes_on, self.ends)
        return _traces(tuple(name for name in PRESETS if name in self.presets or AUTO in self.presets))


@functools.cache
def _traces(languages: tuple[str, ...]) -> Traces:
    return Traces([PRESETS[name] for name in languages])


MULTILINE: Final = Kind("multiline rule", Rule.parse)
