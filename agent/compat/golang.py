r"""Texts in the forms of Go programs, as ours: durations, truth values, globs, patterns, templates.

Sources: Go's `time.ParseDuration`, `strconv.ParseBool`, `path.Match`, `regexp/syntax` (RE2's own, but for `\C`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from agent.options import show_duration

LEAST_WAIT_S: Final = 0.01
MOST_WAIT_S: Final = 60.0
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"\+?(?:{_QUANTITY.pattern})+")
_TRUE = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_FALSE = dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
_BOOLEANS = {**_TRUE, **_FALSE}
_OF_GLOBS = re.compile(r"\\(.)|\[(?:\\.|[^\]\\])*\]|(.)", re.DOTALL)
_OF_PATTERNS = re.compile(r"\\.|;", re.DOTALL)
_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_CODE = re.compile(r"(?:(\.[\w.]+)|index\s+(\.[\w.]+)\s+(.+))|.*", re.DOTALL)


def duration(text: str) -> float:
    """Seconds of `1m30s`. Raises ValueError."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration such as 500ms or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _QUANTITY.findall(text))


def wait(seconds: float) -> str:
    """How long the last lines of a record are waited for, as an item of `multiline`, which has bounds."""
    return f"timeout={show_duration(round(min(max(seconds, LEAST_WAIT_S), MOST_WAIT_S), 3))}"


def boolean(text: str) -> bool:
    """Raises ValueError."""
    if text not in _BOOLEANS:
        raise ValueError("true or false")
    return _BOOLEANS[text]


def glob(text: str) -> str:
    """A glob as a selector has it; a character that a selector cannot hold becomes `?`."""

    def ours(match: re.Match[str]) -> str:
        escaped, plain = match.groups()
        if plain is None and escaped is None:  # a class of characters
            within = match[0].replace("[^", "[!", 1)
            return "?" if set(within) & set(",&\\") else within
        if escaped is not None:
            return f"[{escaped}]" if escaped in "*?[" else _fit(escaped)
        return _fit(plain)

    return _OF_GLOBS.sub(ours, text)


def _fit(character: str) -> str:
    return "?" if character in ",&" else character


def pattern(text: str) -> str:
    """A pattern as an item of a setting's value has it. Raises ValueError."""
    if ";" in text and r"\Q" in text:
        raise ValueError(r"a pattern without ; in \Q…\E (write it as \x3b outside of it)")
    item = _OF_PATTERNS.sub(lambda match: r"\x3b" if match[0] in {";", r"\;"} else match[0], text)
    return item if item == item.strip() else f"(?:{item})"


def condition(text: str) -> str:
    """A pattern as an item of `drop` and `keep`, where it is taken for nothing else. Raises ValueError."""
    return f"(?:{pattern(text)})"


def template(text: str, fields: Mapping[str, str], what: str) -> str:
    """A template in our markup: each action through `fields`, `index <a field> "key"` too.

    what  the fields that are understood, for the complaint. Raises ValueError.
    """

    def ours(match: re.Match[str]) -> str:
        code = match[1].removeprefix("-").removesuffix("-").strip()
        found = _CODE.fullmatch(code)
        name, index, key = found.groups() if found else (None, None, None)
        known = fields.get(name or index or "")
        if known is None or bool(index) != known.startswith("index "):
            raise ValueError(f"a template of {what} ({match[0]} is none of them)")
        return f"{{{{{known} {key}}}}}" if index else known

    return _ACTION.sub(ours, text)
