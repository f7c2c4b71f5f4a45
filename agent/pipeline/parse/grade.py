"""Grade: the level that parsed fields tell, by the names and values that logging libraries use.

What a number means depends on the field's name: bunyan's and pino's `level` counts from 10 to 60, Monolog's from
100 to 600, Python's `levelno` from 10 to 50, syslog's `severity` and journald's `PRIORITY` from 7 down to 0, and
OpenTelemetry's `severityNumber` from 1 to 24. A `level` of 0 to 7 is syslog's to GELF and the opposite to logr,
so it tells nothing, unless that field was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.level import UNKNOWN, WORDS, Level
from agent.pipeline.parse.parsed import Object
from agent.pipeline.parse.path import Path

_BY_TENS = dict(
    zip(
        range(10, 70, 10),
        (Level.TRACE, Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR, Level.CRITICAL),
        strict=True,
    )
)
_BY_HUNDREDS = {
    100: Level.DEBUG,
    200: Level.INFO,
    250: Level.NOTICE,
    300: Level.WARNING,
    400: Level.ERROR,
    500: Level.CRITICAL,
    550: Level.ALERT,
    600: Level.EMERGENCY,
}
_PYTHON = {10: Level.DEBUG, 20: Level.INFO, 30: Level.WARNING, 40: Level.ERROR, 50: Level.CRITICAL}
_SYSLOG = {9 - level: level for level in Level if level > Level.TRACE} | {7: Level.DEBUG}
_FOURS = (Level.TRACE, Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR, Level.CRITICAL)
_OPENTELEMETRY = {number: _FOURS[(number - 1) // 4] for number in range(1, 25)}
_STATUS = {
    number: Level.INFO if number < 400 else Level.WARNING if number < 500 else Level.ERROR
    for number in range(100, 600)
}
_LETTERS: Final[Mapping[str, Level]] = {
    "t": Level.TRACE,
    "d": Level.DEBUG,
    **{f"d{step}": Level.DEBUG for step in range(1, 6)},
    "i": Level.INFO,
    "w": Level.WARNING,
    "e": Level.ERROR,
    "f": Level.CRITICAL,
    "c": Level.CRITICAL,
}
_TEXTS = {**WORDS, **_LETTERS}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_MAX_TEXT, _MAX_KNOWN = 40, 1000
#: Of a compact Serilog event: without `@l` it is an information.
_SERILOG_TIME = "@t"


@dataclass(frozen=True, slots=True)
class Scale:
    """What the values of a field mean."""

    path: Path
    numbers: Mapping[int, Level]
    texts: Mapping[str, Level]

    def level(self, value: object) -> int:
        """The level that a value tells, or `UNKNOWN`."""
        if isinstance(value, str) and len(value) <= _MAX_TEXT:
            word = _ANSI.sub("", value).strip().lower()
            return self.texts.get(word) or (_number(word, self.numbers) if word.isdecimal() else UNKNOWN)
        if isinstance(value, int) and not isinstance(value, bool):
            return self.numbers.get(value, UNKNOWN)
        return UNKNOWN


def _number(word: str, numbers: Mapping[int, Level]) -> int:
    return numbers.get(int(word), UNKNOWN)


_USUAL: Final[Mapping[str, Mapping[int, Level]]] = {
    "level": _BY_TENS | _BY_HUNDREDS,
    "severity": _SYSLOG,
    "lvl": _BY_TENS,
    "log.level": _BY_TENS,
    "loglevel": {},
    "logLevel": {},
    "log_level": {},
    "levelname": {},
    "level_name": {},
    "@l": {},
    "@level": {},
    "Level": {},
    "LogLevel": {},
    "LEVEL": {},
    "severity_text": {},
    "severityText": {},
    "SeverityText": {},
    "error_severity": {},
    "levelno": _PYTHON,
    "severity_number": _OPENTELEMETRY,
    "severityNumber": _OPENTELEMETRY,
    "priority": _SYSLOG,
    "PRIORITY": _SYSLOG,
}
#: In this order: the first that tells a level counts.
USUAL: Final = (
    *(Scale(Path(name), numbers, _TEXTS) for name, numbers in _USUAL.items()),
    Scale(Path("s"), {}, _LETTERS),  # MongoDB's
)


def _asked(name: str) -> Scale:
    numbers = _STATUS if "status" in name.lower() else _USUAL.get(name) or _BY_TENS | _BY_HUNDREDS
    return Scale(Path(name), {**_SYSLOG, **numbers} if min(numbers) >= 10 else numbers, _TEXTS)


class Grade:
    """Levels of parsed fields: from the usual names, or from the one that was asked for."""

    def __init__(self, name: str | None = None) -> None:
        self._scales = USUAL if name is None else (_asked(name),)
        # Names that are worth a second look; the outer one of a dotted name too.
        self._hints = frozenset(part for scale in self._scales for part in _heads(scale.path.name))
        self._usual = name is None
        if self._usual:
            self._hints |= {_SERILOG_TIME}
        self._known: dict[Any, int] = {}

    def __call__(self, objects: Sequence[Object]) -> bytes | None:
        """A level a row; None: no row has one."""
        known = self._known
        values = self._scales[0].path.column(objects)
        try:
            levels = bytearray([known.get(value, 0) for value in values])
        except TypeError:  # a list or an object cannot be looked up
            levels = bytearray(len(objects))
        if 0 in levels:
            for row, made in enumerate(objects):
                if not levels[row] and not self._hints.isdisjoint(made):
                    levels[row] = self._look(made)
        return bytes(levels) if any(levels) else None

    def _look(self, made: Object) -> int:
        for scale in self._scales:
            value = scale.path.of(made)
            level = scale.level(value) if value is not None else UNKNOWN
            if level:
                if scale is self._scales[0] and isinstance(value, str):
                    self._learn(value, level)
                return level
        return Level.INFO if self._usual and _SERILOG_TIME in made else UNKNOWN

    def _learn(self, value: str, level: int) -> None:
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[value] = level


def _heads(name: str) -> set[str]:
    return {name, name.partition(".")[0]}
