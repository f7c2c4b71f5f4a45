"""Finds stack traces by how each of their lines looks, given the lines before it: a small automaton.

Its state is the set of all that the lines so far may be, a bit each, so that several languages are looked for at
once. Lines that no trace begins with cost their part in one search over the whole batch.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.pipeline.multiline.lines import DONE, Joined, plain
from agent.pipeline.scan import Wanted

#: A state that nothing follows.
END: Final = "end"
#: A line that speaks of an error. It belongs to the trace right behind it, if there is one.
HEAD: Final = "head"
_ERROR: Final = (
    r"(?i:(?:error|exception|throwable)\b"
    r"|\b(?:warn(?:ing)?|fatal|severe|crit(?:ical)?|panic|err|emerg|alert)\b)"
)
_END = 1
_Matches = Callable[[bytes], object]


class Start(NamedTuple):
    """A line that may begin a trace, in the syntax that `re` and RE2 share; the state behind it."""

    pattern: str
    state: str


class Move(NamedTuple):
    """A line that goes on with a trace: states before it, how it begins, states behind it."""

    before: str
    pattern: str
    after: str


@dataclass(frozen=True, slots=True)
class Language:
    """What a language's traces look like."""

    starts: tuple[Start, ...]
    moves: tuple[Move, ...]


class Traces:
    """The traces of some languages; of none, nothing is joined. `digest` differs where states mean other things."""

    def __init__(self, languages: Sequence[Language]) -> None:
        starts = list(dict.fromkeys(start for language in languages for start in language.starts))
        moves = list(dict.fromkeys(move for language in languages for move in language.moves))
        self._bits: dict[str, int] = {END: _END, HEAD: _END << 1}
        for names in (*(start.state for start in starts), *(move.after for move in moves)):
            for name in names.split():
                self._bits.setdefault(name, _END << len(self._bits))
        self._starts = [(_matcher(start.pattern), self._mask(start.state)) for start in starts]
        self._moves = [(self._mask(move.before), move.pattern, self._mask(move.after)) for move in moves]
        self._head = self._bits[HEAD] if moves else DONE
        self._begins = Wanted.parse("|".join([*(start.pattern for start in starts), _ERROR]))
        self._ways: dict[int, _Ways] = {}
        self.digest = zlib.crc32(repr((starts, moves, _ERROR)).encode())

    def read(self, state: int, messages: Sequence[bytes]) -> Joined:
        """What these lines are, after a record in that state."""
        column = plain(messages)
        lines, spans, at = column.texts, [], 0
        if state != DONE:
            at, state = self._follow(state, lines, 0)
            if at:
                spans.append((-1, at))
        if at == len(lines):
            return Joined(spans, state)
        for row in self._begins.rows(column):
            if row >= at and (state := self._begin(lines[row])):
                at, state = self._follow(state, lines, row + 1)
                if at > row + 1:
                    spans.append((row, at))
        return Joined(spans, state if at == len(lines) else DONE)

    def _begin(self, line: bytes) -> int:
        """The state behind a line that may begin a trace; what is JSON is a record as it is."""
        if line.startswith(b"{"):
            return DONE
        state = 0
        for matches, after in self._starts:
            if matches(line):
                state |= after
        return state or self._head

    def _follow(self, state: int, lines: Sequence[bytes], row: int) -> tuple[int, int]:
        """The first row, from this one on, that does not go on; and the state behind the one before it."""
        while row < len(lines):
            ways = self._ways.get(state)
            if ways is None:
                ways = self._ways[state] = _Ways(state, self._moves)
            state = ways.after(lines[row])
            if not state:
                return row, DONE
            row += 1
            if state == _END:
                return row, DONE
        return row, state

    def _mask(self, names: str) -> int:
        bits = (self._bits[name] for name in names.split() if name in self._bits)
        return functools.reduce(int.__or__, bits, 0)


class _Ways:
    """How it may go on from one state."""

    def __init__(self, state: int, moves: Iterable[tuple[int, str, int]]) -> None:
        found: dict[str, int] = {}
        for before, pattern, after in moves:
            if before & state:
                found[pattern] = found.get(pattern, 0) | after
        self._any = re.compile("|".join(found or ["(?!)"]).encode()).match
        self._each = [(_matcher(pattern), after) for pattern, after in found.items()]

    def after(self, line: bytes) -> int:
        """The state behind this line; 0: it does not go on."""
        state = 0
        if self._any(line):
            for matches, after in self._each:
                if matches(line):
                    state |= after
        return state


def _matcher(pattern: str) -> _Matches:
    compiled = re.compile(pattern.encode())
    return compiled.match if pattern.startswith("^") else compiled.search
