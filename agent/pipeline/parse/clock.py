"""Clock: the time in a field's value, as ns since the epoch.

RFC 3339 with any fraction and zone, ISO 8601 with a blank, a comma or without a zone, `2006/01/02 15:04:05`, the
access logs' `10/Oct/2000:13:55:36 -0700`, and the epoch as number or text, in s, ms, µs or ns by its magnitude. A
time without a zone is in UTC.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from agent.batch import NS
from agent.pipeline.parse.parsed import Object
from agent.pipeline.parse.path import Path

#: A time before 1990, or further ahead of the Engine's than this, is none.
FLOOR_NS: Final = 631_152_000 * NS
AHEAD_NS: Final = 86_400 * NS

_MAX_TEXT = 64
_ISO = re.compile(
    r"(\d{4}([-/])\d\d\2\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d{1,18}))? ?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ACCESS = re.compile(rf"(\d\d)/({'|'.join(_MONTHS)})/(\d{{4}}):(\d\d:\d\d:\d\d) ([+-]\d{{4}})", re.ASCII)
_EPOCH = re.compile(r"\d{9,19}(?:\.\d{1,18})?", re.ASCII)
_ZONES = dict.fromkeys(("z", "UTC", "GMT"), "Z")
_EPOCH_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))  # seconds have 12 digits from the year 5138 on


class Clock:
    """Times of parsed fields.

    form  how the field's text is to be read, as `strptime` takes it; None: see above
    """

    def __init__(self, name: str, form: str | None = None) -> None:
        self._path = Path(name)
        self._form = form

    def __call__(self, objects: Sequence[Object], read_at: Sequence[int]) -> list[int] | None:
        """A time a row: its own, or the Engine's where it has none that can be. None: no row has its own."""
        stamps = list(map(self._time, self._path.column(objects)))
        if not any(stamps):
            return None
        return [
            own if own is not None and FLOOR_NS <= own <= read + AHEAD_NS else read
            for own, read in zip(stamps, read_at, strict=True)
        ]

    def _time(self, value: object) -> int | None:
        if isinstance(value, str):
            if len(value) > _MAX_TEXT:
                return None
            return time_of(value) if self._form is None else _by_form(value, self._form)
        if isinstance(value, bool) or self._form is not None:
            return None
        if isinstance(value, int):
            return _epoch(value)
        return _epoch(Decimal(repr(value))) if isinstance(value, float) else None


def time_of(text: str) -> int | None:
    """The time that a text tells; None: it tells none."""
    match = _ISO.fullmatch(text)
    if match is not None:
        second, _, fraction, zone = match.groups()
        whole = _second(second, zone or "Z")
        return whole and whole + (int(fraction[:9].ljust(9, "0")) if fraction else 0)
    match = _ACCESS.fullmatch(text)
    if match is not None:
        day, month, year, time, zone = match.groups()
        return _second(f"{year}-{_MONTHS.index(month) + 1:02}-{day} {time}", zone)
    return _epoch(Decimal(text)) if _EPOCH.fullmatch(text) else None


def check_form(form: str) -> None:
    """Raises ValueError unless this form tells a day and its time."""
    sample = datetime(2001, 12, 23, 14, 15, 16, tzinfo=UTC)
    try:
        found = _strptime(sample.strftime(form), form)
    except ValueError:
        found = None
    if found != sample:
        raise ValueError("a form of strptime with year, month, day, hour, minute and second")


def _epoch(value: int | Decimal) -> int:
    return int(value * next((unit for limit, unit in _UNITS if value < limit), 1))


@functools.lru_cache(maxsize=1024)
def _second(text: str, zone: str) -> int | None:
    """ns of `2006-01-02 15:04:05` in that zone."""
    try:
        return _ns(datetime.fromisoformat(text.replace("/", "-") + _ZONES.get(zone, zone)))
    except ValueError:
        return None


@functools.lru_cache(maxsize=1024)
def _by_form(text: str, form: str) -> int | None:
    try:
        return _ns(_strptime(text, form))
    except ValueError:
        return None


def _strptime(text: str, form: str) -> datetime:
    found = datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes next
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _ns(time: datetime) -> int:
    return (time - _EPOCH_BEGAN) // _MICROSECOND * 1000
