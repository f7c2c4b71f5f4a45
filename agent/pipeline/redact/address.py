"""IP addresses: version 4 with dots, version 6 as in RFC 4291 section 2.2."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.pipeline import patterns
from agent.pipeline.redact.finders import MOST_CANDIDATES, Span

_V4: Final = patterns.pattern(r"(?:^|[^0-9.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})", flags="m")
_V6: Final = re.compile(
    rb"""(?<![0-9A-Za-z:.])
    [0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*
    (?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3}|(?<=[0-9A-Fa-f])|(?<=::))
    (?![0-9A-Za-z])""",
    re.VERBOSE,
)
_MORE: Final = re.compile(rb"[0-9]|\.[0-9]")
#: What makes four numbers a version: `v1.2.3.4`, `version 1.2.3.4`.
_VERSION: Final = re.compile(rb"""\b(?:v|(?:ver|version|release)["']?[ =:]{0,3}["']?)\Z""", re.IGNORECASE)
_LOOK_BACK: Final = 16
_LONGEST_PRODUCT: Final = 40
_LONGEST_V6: Final = 45
#: The name of a disk or of a network card.
_EUI_64: Final = re.compile(rb"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){7}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Finds IP addresses; a prefix length, port or zone behind one is left."""

    clue: str = (
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
        r"|::[0-9A-Fa-f]|[0-9A-Fa-f]::|(?:[0-9A-Fa-f]{1,4}:){6}[0-9A-Fa-f]"
    )

    def find(self, text: bytes) -> Iterator[Span]:
        for count, match in enumerate(_V4.finditer(text)):
            start, end = match.span(1)
            if count == MOST_CANDIDATES:
                yield start, len(text)
                return
            if _is_v4(text[start:end]) and not _MORE.match(text, end) and not _is_version(text, start):
                yield start, end
        if b"::" in text or text.count(b":") > 6:
            yield from _v6(text)


def _v6(text: bytes) -> Iterator[Span]:
    for count, match in enumerate(_V6.finditer(text)):
        if count == MOST_CANDIDATES:
            yield match.start(), len(text)
            return
        if _is_v6(match[0]):
            yield match.span()


def _is_v4(text: bytes) -> bool:
    return all(int(part) < 256 for part in text.split(b"."))


def _is_version(text: bytes, start: int) -> bool:
    """Whether what stands before says so: `v1.2.3.4`, or `Chrome/119.0.0.0` where a word begins."""
    if text[start - 1 : start] == b"/":
        product = text[max(0, start - _LONGEST_PRODUCT) : start - 1].rpartition(b" ")[2].lstrip(b"(\"';")
        return b"/" not in product and product[:1].isalpha()
    return _VERSION.search(text, max(0, start - _LOOK_BACK), start) is not None


def _is_v6(text: bytes) -> bool:
    """A word such as `a::b`, in a program, is none."""
    if len(text) > _LONGEST_V6 or not re.search(rb"[0-9]", text) or _EUI_64.fullmatch(text):
        return False
    try:
        ipaddress.IPv6Address(text.decode())
    except ValueError:
        return False
    return True
