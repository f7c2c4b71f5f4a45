"""The lines that containers of the benchmark write: numbered, so that they can be counted as distinct."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NUMBER = re.compile(rb"line (\d{7,}) of the bench")
#: When a line was written, nanoseconds since 1970, where it says so.
STAMP = re.compile(rb" of the bench: at (\d{19}) ")
#: In every line, once.
MARK = b" of the bench: "
_START = "line %07d of the bench: "
_STAMPED = "at %019d "
_TEXT = "192.0.2.17 GET /api/v1/orders?page=3&size=50 HTTP/1.1 200 5316 in 12 ms, mozilla/5.0, session open; "


@dataclass(frozen=True, slots=True)
class Lines:
    """`count` lines, numbered from `first`, of `size` bytes each with their newline."""

    count: int
    size: int
    first: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or self.size < self.least_size():
            raise ValueError(f"at least one line, and of {self.least_size()} bytes")

    @staticmethod
    def least_size(*, stamped: bool = False) -> int:
        """The number, the time if it is `stamped`, and the newline."""
        return len(_START % 1) + stamped * len(_STAMPED % 1) + 1

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + self.count - 1

    def shared(self, writers: int) -> Sequence[Lines]:
        """The same lines, written by so many. ValueError if there is not one for each."""
        each, more = divmod(self.count, writers)
        shares: list[Lines] = []
        first = self.first
        for writer in range(writers):
            shares.append(Lines(each + (writer < more), self.size, first))
            first += shares[-1].count
        return shares

    def line(self, number: int) -> bytes:
        """One of them, without its newline."""
        return (_START % number + _filler(self.size - self.least_size())).encode()

    def stamped(self, numbers: range, at_ns: int) -> bytes:
        """Those of these numbers, each with its newline, and written at this time."""
        after = _STAMPED % at_ns + _filler(self.size - self.least_size(stamped=True)) + "\n"
        return "".join([_START % number + after for number in numbers]).encode()

    @property
    def script(self) -> str:
        """A shell command that prints them, as fast as awk can."""
        filler = _filler(self.size - self.least_size())
        line = f"{_START}{filler}".replace("%07d", "\0").replace("%", "%%").replace("\0", "%07d")
        loop = f"i = {self.first}; i <= {self.last}; i++"
        return f"awk 'BEGIN {{ for ({loop}) printf \"{line}\\n\", i }}'"


def _filler(room: int) -> str:
    return (_TEXT * (room // len(_TEXT) + 1))[:room]
