r"""Levels of plain text: found where programs put them, at the beginning of a line.

A wrong level is worse than none. So only what stands before the message is looked at: words that have a digit or
a sign in them (times, processes, threads, loggers), and one plain word among them (a host, a logger). The level
is the first of these:

    <3>                     syslog's number, at the very beginning (RFC 5424, sd-daemon(3))
    E1123 06:13:46          glog, klog
    E, [2026-11-23T…        Ruby's Logger, Rails
    ERROR  ERROR: [ERROR]   a word in upper case that ends at a blank, a colon, a bracket, `|` or `/`
    [error] [core:error]    a word in any case, in brackets, between tabs, or before a colon
    level=error "level":…   the value of a member of that name
    PHP Warning: npm ERR!   as these programs write it

Patterns of Python's own `re`, as they are not given by anybody; without backtracking over what a container wrote,
and over the first `REACH` bytes of a line.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from agent.batch import Batch
from agent.level import UNKNOWN, WORDS, Level
from agent.options import Kind
from agent.pipeline.grammar import OFF
from agent.pipeline.step import Step, Tally

#: Bytes of a line, without colours, in which a level is looked for; and of one that is JSON.
REACH: Final = 120
JSON_REACH: Final = 256


def _any_of(words: Iterable[str]) -> str:
    """A pattern of these words that reads none of their letters twice: three times as fast as `a|ab|abc`."""
    ordered = sorted(set(words))
    if ordered == [""]:
        return ""
    by_letter = groupby(filter(None, ordered), key=lambda word: word[0])
    parts = [letter + _any_of(word[1:] for word in group) for letter, group in by_letter]
    return f"(?:{'|'.join(parts)}){'?+' if '' in ordered else ''}"


def _words(text: str) -> str:
    return _any_of(text.split())


def _cases(text: str) -> str:
    return _any_of(case(word) for word in text.split() for case in (str.lower, str.upper, str.capitalize))


_UPPER = _words(
    "TRACE TRC VRB DEBUG DEBUG1 DEBUG2 DEBUG3 DEBUG4 DEBUG5 DBG INFO INF INFORMATION SUCCESS NOTICE "
    "WARN WARNING WRN ERR ERROR SEVERE CRITICAL CRIT FATAL FTL ALERT EMERG EMERGENCY PANIC"
)
_USUAL = "trace debug info notice warn warning error severe crit critical fatal panic "
_ANY = _cases(_USUAL + "information note err alert emerg emergency")
_BEFORE_COLON = _cases(_USUAL + "trce dbug fail")
_VALUE = _cases(_USUAL + "information err eror alert emerg emergency dbg inf wrn dpanic")
_DATE = _words(
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Mon Tue Wed Thu Fri Sat Sun AM PM "
    "UTC GMT CET CEST EST EDT CST CDT PST PDT"
)
_MEMBER = "(?:l(?:evel(?:name)?|vl|oglevel|og[.]level)|severity)"

_GAP = r"[ \t|]++"
_PLAIN = rf"[A-Za-z]++{_GAP}"
_SIGNED = rf"""(?:
    (?=[A-Za-z]*+[^A-Za-z\s|"]) [^\s|\]]*+(?:\](?!\[)[^\s|\]]*+)*+ (?:\](?=\[)|{_GAP})
  | {_DATE}{_GAP}
)"""
_WORD = rf"""(?:
    [\[(<{{*=-]*+ (?: ({_UPPER}) (?=[\s:\])>|/\[]|$) | (LOG) (?=:) )
  | [\[(<] (?:\w++[:.])?+ ({_ANY}) \s*+ [\])>]
  | {_MEMBER} [=:] "?+ ({_VALUE}) (?![\w-])
)"""
_LINE = re.compile(
    rf"""(?:[ \t|]++(?=[^a-z]))?+ (?:
        <(1?\d?\d>)
      | ([IWEF])\d{{4}}[ ]\d\d:\d\d:\d\d
      | ([DIWEF]),[ ]\[
      | npm[ ](ERR!|WARN)
      | {_SIGNED}{{0,6}}? (?=[\[(<{{*=-]*+[A-Za-z]) (?:
            {_WORD}
          | ({_BEFORE_COLON}) : (?=\s|$)
          | (?<=\t) ({_ANY}) (?=\t)
          | PHP[ ](Fatal|Parse|Warning|Notice|Deprecated)\b
          | (?<=[ \t|\]]) {_PLAIN} {_SIGNED}{{0,2}}? {_WORD}
        )
    )""".encode(),
    re.VERBOSE,
)
_JSON = re.compile(rf"""["'](?:@?{_MEMBER}|@l)["'] ?: ?(?:["']([A-Za-z]{{1,13}})["']|([1-6]0)\b)""".encode())
_COLOUR = re.compile(rb"\x1b\[[0-9;]*+m")

#: By what was found: words, letters of glog and Ruby, numbers of syslog (`3>`), of bunyan and pino (`30`).
_FOUND: Final[dict[bytes, int]] = {
    **{case(word).encode(): WORDS[word] for word in WORDS for case in (str.lower, str.upper, str.capitalize)},
    b"D": Level.DEBUG,
    b"I": Level.INFO,
    b"W": Level.WARNING,
    b"E": Level.ERROR,
    b"F": Level.CRITICAL,
    **{b"%d>" % number: max(Level.DEBUG, 9 - number % 8) for number in range(192)},
    **dict(zip((b"10", b"20", b"30", b"40", b"50", b"60"), (1, 2, 3, 5, 6, 7), strict=True)),
    b"ERR!": Level.ERROR,
    b"Parse": Level.ERROR,
    b"Deprecated": Level.NOTICE,
}


class Levels(enum.Enum):
    """Whether levels are looked for in plain text, where none is known."""

    OFF = OFF
    AUTO = "auto"

    @classmethod
    def parse(cls, text: str) -> Levels:
        """Raises ValueError saying what would have been right."""
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise ValueError("auto or off") from None

    def __str__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        return self is Levels.AUTO

    def step(self, _tally: Tally) -> Step:
        """What finds the levels of one container's lines."""
        return find


LEVELS: Final[Kind[Levels]] = Kind("auto|off", Levels.parse, str)


def find(batch: Batch) -> Batch:
    """The batch with the levels that its lines tell."""
    known = batch.levels
    if known is None:
        found = levels_of(batch.messages)
    elif UNKNOWN in known:
        rows = [row for row, level in enumerate(known) if level == UNKNOWN]
        merged = bytearray(known)
        for row, level in zip(rows, levels_of([batch.messages[row] for row in rows]), strict=True):
            merged[row] = level
        found = bytes(merged)
    else:
        return batch
    return batch if found == (known or bytes(len(batch))) else replace(batch, levels=found, encoded={})


def levels_of(lines: Sequence[bytes]) -> bytes:
    """The level that each line tells, or `UNKNOWN`."""
    if b"\x1b" in b"".join(lines):
        lines = [_COLOUR.sub(b"", line[: 2 * REACH]) if b"\x1b" in line else line for line in lines]
    matches = [
        _JSON.search(line, 0, JSON_REACH) if line[:1] == b"{" else _LINE.match(line, 0, REACH)
        for line in lines
    ]
    # Every pattern has matched one of its groups, whichever.
    words = [b"" if match is None else match[match.lastindex or 0] for match in matches]
    return bytes([_FOUND.get(word, UNKNOWN) for word in words])
