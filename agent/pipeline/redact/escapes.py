r"""Texts as they read with their escapes resolved (RFC 8259 section 7; `\xHH` and `\'` of other languages), and back.

So that `a\u0040b.example`, or what is JSON within JSON, hides nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from agent.pipeline.redact.finders import Span

#: How many times a text is resolved: JSON within JSON within JSON.
DEPTH: Final = 3
_WIDE_ESCAPE: Final = (
    rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}"
)
_WIDE: Final = re.compile(rb"\\(?:" + _WIDE_ESCAPE + rb")")
_ESCAPE: Final = re.compile(rb"""\\(?:["'\\/bfnrt]|""" + _WIDE_ESCAPE + rb")")
_BACKSLASHES: Final = rb"\\"
_SHORT: Final = {
    rb"\n": b"\n",
    rb"\"": b'"',
    rb"\/": b"/",
    rb"\t": b"\t",
    rb"\r": b"\r",
    rb"\'": b"'",
    rb"\b": b"\b",
    rb"\f": b"\f",
}
#: Bytes that are in no UTF-8 and come of no escape: between texts, and in place of a backslash.
_BETWEEN, _BACKSLASH = b"\xff\xfe", b"\xfe\xff"


def _char(match: re.Match[bytes]) -> bytes:
    return _meaning(match[0])


@lru_cache(maxsize=4096)
def _meaning(escape: bytes) -> bytes:
    if escape == _BACKSLASHES:
        return b"\\"
    if short := _SHORT.get(escape):
        return short
    if escape[1:2] == b"x":
        return bytes.fromhex(escape[2:].decode()).decode("latin-1").encode()
    units = bytes.fromhex(escape[2:].replace(rb"\u", b"").decode())
    return units.decode("utf-16-be", "replace").encode()


def resolved(texts: Sequence[bytes]) -> list[bytes]:
    """The texts with their escapes resolved once; some passes over all of them at once."""
    joined = _BETWEEN.join(texts)
    if joined.count(_BETWEEN) != len(texts) - 1 or _BACKSLASH in joined:
        return [_ESCAPE.sub(_char, text) for text in texts]
    joined = joined.replace(_BACKSLASHES, _BACKSLASH)
    for escape, char in _SHORT.items():
        joined = joined.replace(escape, char)
    if rb"\u" in joined or rb"\x" in joined:
        joined = _WIDE.sub(_char, joined)
    return joined.replace(_BACKSLASH, b"\\").split(_BETWEEN)


def readings(text: bytes) -> Iterator[bytes]:
    """The text, and as it reads resolved once, twice …, as long as that changes it."""
    yield text
    for _ in range(DEPTH):
        if b"\\" not in text or text == (text := resolved([text])[0]):
            break
        yield text


def plain(text: bytes) -> bytes:
    """The text with its escapes resolved as often as they are looked into."""
    return deque(readings(text), maxlen=1)[0] if b"\\" in text else text


class View:
    """A text resolved once; says where its parts are in the text it was made of.

    escapes  where the escapes are in the raw text
    """

    def __init__(self, raw: bytes) -> None:
        self.escapes: list[Span] = []
        self._own: list[Span] = []  # what stands for each of them in `text`
        parts, at, size = list[bytes](), 0, 0
        for match in _ESCAPE.finditer(raw):
            start, end = match.span()
            char = _char(match)
            size += start - at
            parts += raw[at:start], char
            self.escapes.append((start, end))
            self._own.append((size, size + len(char)))
            at, size = end, size + len(char)
        parts.append(raw[at:])
        self.text = b"".join(parts)

    def back(self, span: Span) -> Span:
        """A part of the resolved text as one of the raw text; escapes are whole."""
        start, end = span
        before = bisect_right(self._own, (start, len(self.text) + 1)) - 1
        if before >= 0:
            own, raw = self._own[before], self.escapes[before]
            start = raw[0] if start < own[1] else start - own[1] + raw[1]
        before = bisect_left(self._own, (end, 0)) - 1
        if before >= 0:
            own, raw = self._own[before], self.escapes[before]
            end = raw[1] if end <= own[1] else end - own[1] + raw[1]
        return start, end


def trimmed(span: Span, escapes: Sequence[Span]) -> Span:
    r"""A part of a text without what cuts an escape in two: the `n` of `\nbob@…` is none of the name."""
    start, end = span
    before = bisect_left(escapes, (start, 0)) - 1
    if before >= 0:
        start = max(start, escapes[before][1])
    before = bisect_left(escapes, (end, 0)) - 1
    if before >= 0 and end < escapes[before][1]:
        end = escapes[before][0]
    return start, end


def views(text: bytes) -> list[View]:
    """The text resolved once, twice …, as long as that changes it."""
    found: list[View] = []
    while b"\\" in text and len(found) < DEPTH:
        view = View(text)
        if view.text == text:
            break
        found.append(view)
        text = view.text
    return found
