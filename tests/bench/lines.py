"""The lines that containers of the benchmark write: numbered, so that they can be counted as distinct."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What a multiplexed stream puts before each line: 8 bytes of header, a time of 30 and a blank.
FRAMING_BYTES = 8 + 31
#: How they are read: by their log when they are there already, by their log as they are written, as they are written.
WAYS = ("history", "live", "attach")
NUMBER = re.compile(rb"line (\d{7,}) of the bench")
_START = "line %07d of the bench: "
_TEXT = "192.0.2.17 GET /api/v1/orders?page=3&size=50 HTTP/1.1 200 5316 in 12 ms, mozilla/5.0, session open; "


@dataclass(frozen=True, slots=True)
class Lines:
    """`count` lines, numbered from 1, of `size` bytes each with their newline."""

    count: int
    size: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.size < self.least_size():
            raise ValueError(f"at least one line, and of {self.least_size()} bytes")

    @staticmethod
    def least_size() -> int:
        """The number and the newline."""
        return len(_START % 1) + 1

    @property
    def stream_bytes(self) -> int:
        """All of them, as the Engine sends them with times."""
        return self.count * (self.size + FRAMING_BYTES)

    def line(self, number: int) -> bytes:
        """One of them, without its newline."""
        return (_START % number).encode() + self._filler.encode()

    @property
    def script(self) -> str:
        """A shell command that prints them, as fast as awk can."""
        line = f"{_START}{self._filler}".replace("%07d", "\0").replace("%", "%%").replace("\0", "%07d")
        return f"awk 'BEGIN {{ for (i = 1; i <= {self.count}; i++) printf \"{line}\\n\", i }}'"

    @property
    def _filler(self) -> str:
        room = self.size - self.least_size()
        return (_TEXT * (room // len(_TEXT) + 1))[:room]
