"""Numbers of payment cards: 13 to 19 digits whose issuer, length and check digit (ISO/IEC 7812-1, Luhn) are right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.pipeline.redact.finders import MOST_CANDIDATES, Span

#: As it is printed on cards, in groups with the same blank or dash between them, or without. Matches its first
#: digit, so that one may begin in what another looked like. Of five groups the last may be no part of it.
_SHAPE: Final = re.compile(
    rb"""[2-689] (?<![0-9][0-9]) (?=
      ([0-9]{12,18}) (?![0-9])
    | ([0-9]{3}([ -])[0-9]{4}\3[0-9]{4}\3[0-9]{1,4}) (?:(\3[0-9]{1,3}))? (?![0-9])
    | ([0-9]{3}([ -])[0-9]{6}\6[0-9]{4,5}) (?![0-9])
    )""",
    re.VERBOSE,
)
#: First digits and lengths: Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay, Maestro,
#: RuPay, Mir, Troy, Verve.
_ISSUED: Final = re.compile(
    rb"4(?:.{12}|.{15}|.{18})|5[1-5].{14}|2(?:22[1-9]|2[3-9].|[3-6]..|7[01].|720).{12}|3[47].{13}"
    rb"|3(?:0[0-59]|[68].).{11,16}|6(?:011|4[4-9].|5..).{12,15}|35(?:2[89]|[3-8].).{12,15}|62.{14,17}"
    rb"|(?:50|5[6-9]|6[0-9]).{11,17}|8[12].{14}|220[0-4].{12,15}|9792.{12}"
)
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")
_WORD_BEFORE: Final = re.compile(rb"[0-9A-Za-z]*\Z")
_WORD_BEHIND: Final = re.compile(rb"[0-9A-Za-z]*")
_FRACTION: Final = re.compile(rb"\.[0-9]*[1-9]")
_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]+")
_LONGEST_WORD: Final = 64


def luhn(digits: bytes) -> bool:
    """Whether the last digit is the check digit of the others."""
    summed = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))
    return (summed - len(digits) * ord("0")) % 10 == 0


@dataclass(frozen=True, slots=True)
class Cards:
    """Finds card numbers."""

    clue: str = r"(?:^|[^0-9])[2-689](?:[ -]?[0-9]){12}"

    def find(self, text: bytes) -> Iterator[Span]:
        done = 0
        for count, match in enumerate(_SHAPE.finditer(text)):
            if count == MOST_CANDIDATES:
                yield match.start(), len(text)
                return
            if match.start() >= done and (end := _end(text, match)):
                yield match.start(), end
                done = end


def _end(text: bytes, match: re.Match[bytes]) -> int:
    """Where the card number ends that begins there; 0: there is none."""
    whole = match[0] + next(number for number in match.group(1, 2, 5) if number)
    for number in (whole, whole + (match[4] or b"")):
        digits = number.replace(b" ", b"").replace(b"-", b"")
        if 13 <= len(digits) <= 19 and _ISSUED.fullmatch(digits) and luhn(digits):
            end = match.start() + len(number)
            return 0 if _is_part(text, match.start(), end) else end
    return 0


def _is_part(text: bytes, start: int, end: int) -> bool:
    """Whether it is part of a decimal fraction or of a hash."""
    if text[start - 1 : start] == b"." and text[start - 2 : start - 1].isdigit():
        return True
    if _FRACTION.match(text, end):
        return True
    before = _WORD_BEFORE.search(text, max(0, start - _LONGEST_WORD), start)
    behind = _WORD_BEHIND.match(text, end, end + _LONGEST_WORD)
    around = (before[0] if before else b"") + (behind[0] if behind else b"")
    return _HEXADECIMAL.fullmatch(around) is not None
