"""What the commands show a person: columns, marks, and the progress of what takes more than a second."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, Self, TextIO

#: What is done sooner needs no progress.
PATIENCE_S: Final = 1.0
REWRITE_EVERY_S: Final = 0.2
#: Controls, separators of lines, and what changes the direction of writing.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def columns(rows: Iterable[Sequence[str]], *, indent: str = "", width: int | None = None) -> Iterator[str]:
    """The rows as lines, each column as wide as its widest cell.

    width  the last column is wrapped to keep lines within it, as long as 20 characters are left; None: never
    """
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in table), strict=True)]
    for row in table:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        start = indent + "  ".join([*cells, ""])
        for line in [row[-1]] if width is None else _wrapped(row[-1], max(width - len(start), 20)):
            yield (start + line).rstrip()
            start = " " * len(start)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def mark(stream: TextIO, *, well: bool) -> str:
    """✓ or ✗; `ok` or `FAILED` where the stream cannot show them."""
    if (stream.encoding or "").lower().replace("-", "") == "utf8":
        return "✓" if well else "✗"
    return "ok" if well else "FAILED"


def printable(text: str | bytes) -> str:
    """One line that neither ends another nor colours the terminal: what would is shown escaped.

    What others chose (names, reasons, log lines) is shown so.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def tolerate_any_character() -> None:
    """Characters that stdout and stderr cannot encode are shown escaped from now on, instead of ending us."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Progress:
    """One line on a terminal, rewritten in place; nothing in a pipe, and nothing in the first second.

    `now` gives seconds, monotonic.
    """

    def __init__(self, stream: TextIO | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._now = now
        self._next = now() + PATIENCE_S
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def tell(self, text: str) -> None:
        """How far we are; cheap enough to be told at every step."""
        if self._live and self._now() >= self._next:
            self._next = self._now() + REWRITE_EVERY_S
            self._shown = True
            width = shutil.get_terminal_size().columns
            self._stream.write(f"\r\x1b[K{text[: width - 1]}")
            self._stream.flush()

    def clear(self) -> None:
        """Leave the line empty for what is printed next."""
        if self._shown:
            self._shown = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    @contextlib.asynccontextmanager
    async def ticking(self, text: Callable[[], str]) -> AsyncIterator[None]:
        """Tells `text()` again and again while the body waits for something that does not report."""
        async with asyncio.TaskGroup() as group:
            ticker = group.create_task(self._tick(text), name="progress")
            try:
                yield
            finally:
                ticker.cancel()

    async def _tick(self, text: Callable[[], str]) -> None:
        while True:
            self.tell(text())
            await asyncio.sleep(REWRITE_EVERY_S)
