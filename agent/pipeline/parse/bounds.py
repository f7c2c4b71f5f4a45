"""How much of a line becomes fields. What is beyond is left out, and the object then says so in `MARK`.

The text of a JSON line is its own best encoding: no number loses digits. It is kept where it is within bounds
and no name stands in it twice, which few receivers take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

import orjson

from agent.options import KiB
from agent.pipeline.parse.parsed import Object

#: Names in an object and all objects within it; objects and lists around a value.
MAX_NAMES, MAX_DEPTH = 256, 10
#: Of one name, one text, and the whole object, as JSON.
MAX_NAME_BYTES, MAX_TEXT_BYTES, MAX_BYTES = KiB, 32 * KiB, 64 * KiB
#: The member that an object gets from which something was left out.
MARK: Final = "fields_truncated"

_MARK_BYTES = len(MARK) + len('"":true,')
_SMALL = KiB  # no text of this size holds a name that is too long, or too many: a member has five bytes
_BLANKS = b" \t\r\n"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # in JSON they can only stand between its tokens
_SHORT_NAME = MAX_NAME_BYTES // len("\\u0000")  # within bounds however it is written
_LEFT_OUT: Final = object()


def encode(objects: Sequence[Object]) -> list[bytes]:
    """Objects of texts and numbers as JSON, within bounds."""
    return [
        text if len(text) <= _SMALL and len(made) <= MAX_NAMES else Cut().encode(made)
        for made, text in zip(objects, map(orjson.dumps, objects), strict=True)
    ]


def keep(texts: Sequence[bytes], objects: Sequence[Object]) -> list[bytes]:
    """The texts that these objects were read from, or what takes their place.

    texts  valid JSON, without blanks around
    """
    if _sound(texts, objects):
        return list(texts)
    if len(texts) == 1:
        return [_keep_long(texts[0], objects[0])]
    return [_keep_one(text, made) for text, made in zip(texts, objects, strict=True)]


def _keep_one(text: bytes, made: Object) -> bytes:
    return text if _sound((text,), (made,)) else _keep_long(text, made)


def _keep_long(text: bytes, made: Object) -> bytes:
    cut = Cut()
    encoded = cut.encode(made)
    if cut.happened or len(text) > MAX_BYTES or _names_in(text) != cut.names:
        return encoded
    return text.translate(_ONE_LINE)


def _sound(texts: Sequence[bytes], objects: Sequence[Object]) -> bool:
    """Whether all these texts are within bounds, on one line each, and without a name twice.

    No need to ask each for that if they are small. Those that are not are asked one by one.
    """
    longest = max(map(len, texts), default=0)
    if longest > MAX_TEXT_BYTES or (longest > _SMALL and len(texts) > 1):
        return False
    whole = b"\n".join(texts)
    if whole.count(b"\n") != len(texts) - 1 or b"\r" in whole:
        return False
    layers = [objects]
    if whole.count(b"{") != len(texts) or b"[" in whole:
        layers += _inner_layers(objects)
    names = sum(map(len, chain.from_iterable(layers)))
    if len(layers) > MAX_DEPTH or _names_in(whole) != names:
        return False
    return longest <= _SMALL or (
        names <= MAX_NAMES
        and max(map(len, chain.from_iterable(chain.from_iterable(layers))), default=0) <= _SHORT_NAME
    )


def _inner_layers(objects: Sequence[Object]) -> Iterator[Sequence[Object]]:
    """The objects in those objects and in lists, then the objects in these, …; one layer too many at most."""
    layer: Sequence[Any] = objects
    for _ in range(MAX_DEPTH):
        layer = [
            value
            for outer in layer
            for value in (outer.values() if type(outer) is dict else outer)
            if type(value) is dict or type(value) is list
        ]
        if not layer:
            return
        yield [value for value in layer if type(value) is dict]


def _names_in(text: bytes) -> int:
    r"""At least as many as there are names in a text; hardly ever more.

    Without blanks, the quote that ends a name is followed by a colon. So may be a quote within a text, `\"`:
    those are not counted unless a name might end in a backslash.
    """
    whole = text.translate(None, _BLANKS)
    names = whole.count(b'":')
    if b'\\":' in whole and b'\\\\"' not in whole:
        names -= whole.count(b'\\":')
    return names


class Cut:
    """One object being copied within bounds.

    names     how many it has, if nothing was left out
    happened  whether anything was
    """

    __slots__ = ("_left", "happened", "names")

    def __init__(self) -> None:
        self.names = 0
        self.happened = False
        self._left = MAX_BYTES - _MARK_BYTES

    def encode(self, made: Object) -> bytes:
        """The copy, as JSON of at most `MAX_BYTES`."""
        copied = self._object(made, 1)
        if self.happened:
            copied.pop(MARK, None)
            copied[MARK] = True
        return orjson.dumps(copied)

    def _value(self, value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever JSON may hold
        """The value, or `_LEFT_OUT`. `depth`: of the objects and lists around it."""
        if isinstance(value, dict | list):
            if depth == MAX_DEPTH or not self._take(3):
                return _LEFT_OUT
            if isinstance(value, list):
                return self._list(value, depth + 1)
            return self._object(value, depth + 1) if not value or self.names < MAX_NAMES else _LEFT_OUT
        if isinstance(value, str) and len(value) * 4 > MAX_TEXT_BYTES:
            cut = value.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
            self.happened |= len(cut) < len(value)
            value = cut
        return value if self._take(len(orjson.dumps(value)) + 1) else _LEFT_OUT

    def _object(self, made: Object, depth: int) -> Object:
        copied: Object = {}
        for name, value in made.items():
            if self.names == MAX_NAMES or not self._left:
                self.happened = True
                break
            self.names += 1
            named = len(orjson.dumps(name)) + 1
            fits = named <= MAX_NAME_BYTES and self._take(named)
            kept = self._value(value, depth) if fits else _LEFT_OUT
            if kept is _LEFT_OUT:
                self.happened = True
            else:
                copied[name] = kept
        return copied

    def _list(self, values: list[Any], depth: int) -> list[Any]:
        copied = []
        for value in values:
            kept = self._value(value, depth)
            if kept is _LEFT_OUT:
                self.happened = True
                break
            copied.append(kept)
        return copied

    def _take(self, count: int) -> bool:
        """Whether there is room for so many bytes; then it is used."""
        fits = count <= self._left
        self._left -= count if fits else 0
        return fits
