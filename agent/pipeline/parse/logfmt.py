r"""logfmt: `level=info msg="order \"7\" taken" retry`, values as texts, a bare name as true.

Source: github.com/go-logfmt/logfmt. Stricter than that: the line begins with `name=`, so that no sentence is
taken for it.
"""

from __future__ import annotations

import re

import orjson

from agent.pipeline.parse.parsed import Object

_BEGINS = re.compile(r'[A-Za-z_@][^\s="]*+=')
_BEGINS_SURELY = re.compile(
    r'(?:[A-Za-z_@][\w.@/-]*+=(?:"(?:[^"\\]++|\\.)*+"|[^\s"]*+)\s++)[A-Za-z_@][\w.@/-]*+='
)
_PAIR = re.compile(r'([^\s="]++)(?:(=)("(?:[^"\\]++|\\.)*+"|\S*+))?+', re.DOTALL)


def read(line: bytes) -> Object | None:
    """The pairs of a line that begins with one."""
    text = line.decode(errors="replace")
    return _pairs(text) if _BEGINS.match(text) else None


def read_surely(line: bytes) -> Object | None:
    """The pairs of a line that begins with two: hardly anything else does."""
    text = line.decode(errors="replace")
    return _pairs(text) if _BEGINS_SURELY.match(text) else None


def _pairs(text: str) -> Object:
    return {
        name: _unquoted(value) if value[:1] == '"' else value if equals else True
        for name, equals, value in _PAIR.findall(text)
    }


def _unquoted(value: str) -> str:
    if "\\" in value:
        try:
            unquoted: str = orjson.loads(value)
            return unquoted
        except orjson.JSONDecodeError:
            pass  # Go's escapes are a few more than JSON's: they stay as they are
    return value[1:].removesuffix('"')
