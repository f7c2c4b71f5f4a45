"""Patterns that anybody may give, in a label too: on RE2, whose time is linear in the text whatever the pattern.

Source: github.com/google/re2/wiki/Syntax. Patterns and texts are bytes; `.` and classes mean UTF-8 characters,
and never match a byte that is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import re2

MAX_PATTERN_BYTES: Final = 4096
#: RE2's bound for the memory of one pattern; beyond it a pattern is refused, or slower, never wrong.
MAX_MEMORY_BYTES: Final = 2 << 20


class Match(Protocol):
    """Where a pattern matched, as `re.Match` tells it."""

    def span(self, group: int | bytes = 0, /) -> tuple[int, int]: ...
    def group(self, group: int | bytes = 0, /) -> bytes | None: ...
    def groupdict(self) -> dict[bytes, bytes | None]: ...


class Pattern(Protocol):
    """What is used of a compiled pattern: the methods of `re.Pattern[bytes]`, with their meaning."""

    @property
    def groups(self) -> int: ...
    @property
    def groupindex(self) -> dict[bytes, int]: ...
    def search(self, text: bytes, pos: int = 0, /) -> Match | None: ...
    def match(self, text: bytes, /) -> Match | None: ...
    def fullmatch(self, text: bytes, /) -> Match | None: ...
    def finditer(self, text: bytes, /) -> Iterator[Match]: ...
    def sub(self, replacement: bytes | Callable[[Match], bytes], text: bytes, /, count: int = 0) -> bytes: ...


def pattern(text: str, *, flags: str = "") -> Pattern:
    """A compiled pattern. `flags`: RE2's letters, such as `m` (`^` and `$` at lines), `i`, `s`.

    Raises ValueError saying what would have been right.
    """
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) > MAX_PATTERN_BYTES:
        raise ValueError(f"a pattern of at most {MAX_PATTERN_BYTES} bytes")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    prefix = f"(?{flags})".encode() if flags else b""
    try:
        compiled: Pattern = re2.compile(prefix + encoded, options=options)
    except re2.error as error:
        why = error.args[0] if error.args else error
        said = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise ValueError(f"a pattern in RE2's syntax ({said})") from None
    return compiled
