"""Finders: where in a text the secrets of one sort are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from agent.pipeline import patterns
from agent.pipeline.patterns import Pattern
from agent.pipeline.scan import Wanted

#: Start and end (exclusive) of a part of a text.
Span: TypeAlias = tuple[int, int]
Accept: TypeAlias = Callable[[bytes, int, int], bool]

#: Of what may be secrets of one sort in one text, so many are looked at. What is left of the text then is one.
MOST_CANDIDATES: Final = 10_000
#: Bytes that all searches for the user's pattern may pass over in one text, if each looks to its end.
_EFFORT_BYTES: Final = 256 << 20
#: The group of a pattern that is the secret.
GROUP: Final = b"secret"


class Finder(Protocol):
    """Finds the secrets of one sort.

    clue  RE2's text of a pattern that matches every text with such a secret; cheap, and not always right
    """

    @property
    def clue(self) -> str: ...

    def find(self, text: bytes) -> Iterator[Span]:
        """The secrets in `text`, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """Secrets that have a shape: what the pattern's groups match, or all of it where it has none.

    accept  judges by more than the pattern can say
    """

    clue: str
    pattern: Pattern = field(repr=False)
    groups: tuple[int, ...]
    accept: Accept

    @classmethod
    def of(cls, clue: str, shape: str, accept: Accept = lambda *_: True) -> Shape:
        """`shape` is to need no more of the text behind a match than the match itself."""
        compiled = patterns.pattern(shape, flags="m")
        return cls(clue, compiled, tuple(range(1, compiled.groups + 1)) or (0,), accept)

    def find(self, text: bytes) -> Iterator[Span]:
        for count, match in enumerate(self.pattern.finditer(text)):
            if count == MOST_CANDIDATES:
                yield match.span()[0], len(text)
                return
            for group in self.groups:
                start, end = match.span(group)
                if start < end and self.accept(text, start, end):
                    yield start, end


@dataclass(frozen=True, slots=True)
class Own:
    """What a pattern of the user's matches: its group `secret`, or its only group, or all of it."""

    wanted: Wanted
    group: int

    @classmethod
    def parse(cls, text: str) -> Own:
        """Raises ValueError saying what would have been right."""
        wanted = Wanted.parse(text)
        if wanted.pattern.search(b"") is not None:
            raise ValueError("a pattern that does not match the empty text")
        if "\\C" in text:
            raise ValueError(r"a pattern without \C, which would cut characters in two")
        only = 1 if wanted.pattern.groups == 1 else 0
        return cls(wanted, wanted.pattern.groupindex.get(GROUP, only))

    @property
    def clue(self) -> str:
        return self.wanted.text

    def find(self, text: bytes) -> Iterator[Span]:
        left = min(MOST_CANDIDATES, 1 + _EFFORT_BYTES // max(1, len(text)))
        for match in self.wanted.pattern.finditer(text):
            start, end = match.span(self.group)
            if start < end:
                yield start, end
            elif start < 0:  # the match went another way than through the group
                yield match.span()
            left -= 1
            if not left:
                yield match.span()[1], len(text)
                return
