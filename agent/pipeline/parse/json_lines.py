"""JSON: a line that is one object. Its text stays as it is where it can (see `bounds`).

Source: RFC 8259. What programs write all the same is mended: bytes that are not UTF-8 and halves of surrogate
pairs become U+FFFD; `NaN`, `Infinity` and numbers that no double can hold become null.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import orjson

from agent.options import KiB
from agent.pipeline.parse import bounds
from agent.pipeline.parse.parsed import NOTHING, Object, Parsed

#: Longer lines are not mended.
MAX_MENDED_BYTES: Final = 64 * KiB

_BLANKS = b" \t\r\n"
_PAIRS_HALVES_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_HALF_BYTES = len(r"\ud800")
_NO_DOUBLE = re.compile(rb"NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{300}")
_TEXTS_AND_NUMBERS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|-?(?:NaN|Infinity)|-?[0-9][0-9.eE+-]*+', re.DOTALL)


def parse(messages: Sequence[bytes]) -> Parsed:
    """Lines of which each should be an object."""
    if _all_like_objects(messages):
        try:
            objects = list(map(orjson.loads, messages))
        except orjson.JSONDecodeError:
            pass
        else:
            return Parsed(objects, bounds.keep(messages, objects))
    return _one_by_one(messages)


def _all_like_objects(messages: Sequence[bytes]) -> bool:
    """Whether each is one line from `{` to `}`: such a line is an object, or no JSON."""
    whole = b"\n".join(messages)
    breaks = len(messages) - 1
    return (
        whole.startswith(b"{")
        and whole.endswith(b"}")
        and whole.count(b"}\n{") == breaks
        and whole.count(b"\n") == breaks
    )


def _one_by_one(messages: Sequence[bytes]) -> Parsed:
    objects: list[Object] = [NOTHING] * len(messages)
    fields: list[bytes | None] = [None] * len(messages)
    rows, texts = [], []
    for row, message in enumerate(messages):
        if message.lstrip(_BLANKS)[:1] != b"{":
            continue
        text = message.strip(_BLANKS)
        try:
            objects[row] = orjson.loads(text)
        except orjson.JSONDecodeError:
            mended = _mended(text)
            if mended is None:
                continue
            text, objects[row] = mended
        rows.append(row)
        texts.append(text)
    for row, text in zip(rows, bounds.keep(texts, [objects[row] for row in rows]), strict=True):
        fields[row] = text
    return Parsed(objects, fields, len(messages) - len(rows))


def _mended(text: bytes) -> tuple[bytes, Object] | None:
    """The text as it would have been right, and its object; None: it is no object at all."""
    if len(text) > MAX_MENDED_BYTES or text[-1:] != b"}":
        return None
    mended = text if text.isascii() else text.decode(errors="replace").encode()
    if b"\\ud" in text or b"\\uD" in text:
        mended = _PAIRS_HALVES_ESCAPES.sub(_whole_pairs, mended)
    if _NO_DOUBLE.search(text):
        mended = _TEXTS_AND_NUMBERS.sub(_possible_number, mended)
    if mended == text:
        return None
    try:
        return mended, orjson.loads(mended)
    except orjson.JSONDecodeError:
        return None


def _whole_pairs(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if len(match[0]) == _HALF_BYTES else match[0]


def _possible_number(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token.startswith(b'"'):
        return token
    try:
        return token if math.isfinite(float(token)) else b"null"
    except ValueError:
        return token
