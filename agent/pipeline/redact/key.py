"""Private keys in PEM (RFC 7468, RFC 1421) and OpenPGP's armour (RFC 9580): what stands between BEGIN and END.

In one text, also with its newlines escaped, or without its end; and line by line, where each is a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.pipeline.redact.finders import Span

_BEGIN: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = b"-----END "
#: What may stand in a block: base64, headers, newlines (escaped ones, too), checksum.
_BODY: Final = re.compile(rb"[A-Za-z0-9+/=\s\\:,.()<>@_-]*")
_RUN: Final = rb"[A-Za-z0-9+/=]{40,}"
_ENCODED: Final = re.compile(rb"\s*" + _RUN + rb"\s*")
_HEADER: Final = re.compile(rb"\s*(?:[A-Z][A-Za-z-]{2,30}: .{1,200})?\s*")
_LAST: Final = re.compile(rb"\s*[A-Za-z0-9+/=]{1,80}\s*")


@dataclass(frozen=True, slots=True)
class Keys:
    """Finds the contents of private keys; BEGIN and END stay, to say what was there."""

    clue: str = "-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY"

    def find(self, text: bytes) -> Iterator[Span]:
        at = 0
        while match := _BEGIN.search(text, at):
            start, at = match.end(), match.end()
            end = text.find(_END, start)
            body = _BODY.match(text, start, len(text) if end < 0 else end)
            if body and body.end() > start:
                yield start, body.end()
                at = body.end()


@dataclass(slots=True)
class Block:
    """A key of which each line is a record: fed one line after the other of one stream."""

    is_open: bool = False
    encoded: bool = False

    def begin(self, text: bytes) -> None:
        """After a line that was not `covers`ed: whether a block begins in it and does not end."""
        ends = [match.end() for match in _BEGIN.finditer(text)]
        rest = text[ends[-1] :] if ends else _END
        self.is_open = _END not in rest and _BODY.fullmatch(rest) is not None
        self.encoded = self.is_open and re.search(_RUN, rest) is not None

    def covers(self, text: bytes) -> bool:
        """Whether this line is of the block, which it may end."""
        if not self.is_open:
            return False
        encoded = _ENCODED.fullmatch(text) is not None
        if encoded or (not self.encoded and _HEADER.fullmatch(text)):
            self.encoded = self.encoded or encoded
            return True
        self.is_open = False
        return self.encoded and _LAST.fullmatch(text) is not None
