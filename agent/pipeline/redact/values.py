"""JSON texts with parts of their values replaced: they stay valid, and but for that the same byte for byte.

Names stay. A number of which a part is replaced becomes a string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import orjson

from agent.pipeline.redact.finders import Span

Replace = Callable[[bytes], bytes]
#: A string with what makes a name of it, or another value; of valid JSON.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(\s*+:)?|[^\s"{}\[\],:]++', re.DOTALL)


def is_object(text: bytes) -> bool:
    """Whether it is one JSON object."""
    if text.lstrip()[:1] != b"{" or text.rstrip()[-1:] != b"}":
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def values(text: bytes) -> Iterator[Span]:
    """Where its values are, those of objects and arrays; strings without their quotes."""
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if text[start] != ord('"'):
            yield start, end
        elif match[1] is None:
            yield start + 1, end - 1


def replaced(text: bytes, spans: Sequence[Span], replace: Replace) -> bytes:
    """The text with these parts replaced; in order, none in another."""
    parts, at = list[bytes](), 0
    for start, end in spans:
        parts += text[at:start], replace(text[start:end])
        at = end
    parts.append(text[at:])
    return b"".join(parts)


def values_replaced(text: bytes, spans: Sequence[Span], replace: Replace) -> bytes:
    """The JSON text with what these parts cover of its values replaced; in order, none in another.

    `replace` gives what needs no escape. The parts cut no escape in two.
    """
    parts, at, left = list[bytes](), 0, 0
    for start, end in values(text):
        while left < len(spans) and spans[left][1] <= start:
            left += 1
        for first, last in _covering(spans, left, start, end):
            if text[start - 1 : start] == b'"':
                parts += text[at:first], replace(text[first:last])
                at = last
            elif at < end:
                parts += text[at:start], b'"' + replace(text[start:end]) + b'"'
                at = end
    parts.append(text[at:])
    return b"".join(parts)


def _covering(spans: Sequence[Span], place: int, start: int, end: int) -> Iterator[Span]:
    """What those from `place` on cover of `start` to `end`."""
    while place < len(spans) and spans[place][0] < end:
        first, last = max(spans[place][0], start), min(spans[place][1], end)
        if first < last:
            yield first, last
        place += 1
