"""Level: how grave a record is. One scale for all formats: syslog's eight (RFC 5424), and trace below them.

A column of levels is `bytes`, one a row, 0 where none is known: cut, kept and translated in one call.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from agent.options import Kind


class Level(enum.IntEnum):
    """The graver, the higher. The name in a record is `text`."""

    TRACE = 1
    DEBUG = 2
    INFO = 3
    NOTICE = 4
    WARNING = 5
    ERROR = 6
    CRITICAL = 7
    ALERT = 8
    EMERGENCY = 9

    @property
    def text(self) -> str:
        """`warning`, in a record."""
        return self.name.lower()

    @property
    def severity(self) -> int:
        """Syslog's number for it, 0 (emergency) to 7 (debug, and trace)."""
        return min(7, 9 - self)


#: No level is known.
UNKNOWN: Final = 0

#: What people and libraries write, in lower case.
WORDS: Final[Mapping[str, Level]] = {
    **{level.text: level for level in Level},
    **dict.fromkeys(("trc", "trce", "vrb", "finest", "finer", "verbose", "silly"), Level.TRACE),
    **dict.fromkeys(
        ("dbg", "dbug", "fine", "config", *(f"debug{step}" for step in range(1, 6))), Level.DEBUG
    ),
    **dict.fromkeys(("inf", "information", "informational", "log", "success"), Level.INFO),
    **dict.fromkeys(("note",), Level.NOTICE),
    **dict.fromkeys(("warn", "wrn"), Level.WARNING),
    **dict.fromkeys(("err", "eror", "severe", "fail", "failure"), Level.ERROR),
    **dict.fromkeys(("crit", "crt", "fatal", "ftl", "dpanic", "panic"), Level.CRITICAL),
    **dict.fromkeys(("emerg",), Level.EMERGENCY),
}


def _parse(text: str) -> Level:
    level = WORDS.get(text.strip().lower())
    if level is None:
        raise ValueError("one of " + ", ".join(level.text for level in Level))
    return level


LEVEL: Final[Kind[Level]] = Kind("level", _parse, lambda level: level.text)
