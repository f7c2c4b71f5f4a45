"""What the commands show: columns, marks, progress."""

from __future__ import annotations

import asyncio
import io

import pytest

from agent.terminal import Progress, columns, mark


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def encoded(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def test_columns_stand_below_each_other() -> None:
    """Each as wide as its widest cell, without blanks at the end."""
    assert list(columns([("a", "bcd", "e"), ("fgh", "", "")], indent=" ")) == [" a    bcd  e", " fgh"]


def test_a_long_last_column_is_wrapped_below_itself() -> None:
    """Where a width is asked for; else it stays as it is."""
    row = ("name", "one two three four five  six")
    assert list(columns([row], width=26)) == ["name  one two three four", "      five  six"]
    assert list(columns([row])) == ["name  one two three four five  six"]


def test_no_rows_are_no_lines() -> None:
    """A spool may have no sink yet."""
    assert list(columns([])) == []


@pytest.mark.parametrize(("encoding", "well", "ill"), [("utf-8", "✓", "✗"), ("ascii", "ok", "FAILED")])
def test_marks_are_what_the_stream_can_show(encoding: str, well: str, ill: str) -> None:
    """A check on an old console is still readable."""
    assert (mark(encoded(encoding), well=True), mark(encoded(encoding), well=False)) == (well, ill)


def test_progress_shows_after_a_second_and_leaves_nothing() -> None:
    """What is quick needs none; what comes after finds an empty line."""
    now = 0.0
    stream = Terminal()
    with Progress(stream, now=lambda: now) as progress:
        progress.tell("early")
        now = 1.1
        progress.tell("half")
        now = 1.2
        progress.tell("too soon after")
        now = 1.4
        progress.tell("most")
    assert stream.getvalue() == "\r\x1b[Khalf\r\x1b[Kmost\r\x1b[K"


def test_progress_is_quiet_in_a_pipe() -> None:
    """Files and other programs want the result alone."""
    now = 0.0
    stream = io.StringIO()
    with Progress(stream, now=lambda: now) as progress:
        now = 10.0
        progress.tell("half")
    assert stream.getvalue() == ""


async def test_what_is_waited_for_is_told_meanwhile() -> None:
    """Told from beside, as long as the body waits and not after."""
    now = 0.0
    told = asyncio.Event()

    def text() -> str:
        told.set()
        return "waiting"

    stream = Terminal()
    with Progress(stream, now=lambda: now) as progress:
        now = 2.0
        async with asyncio.timeout(10), progress.ticking(text):
            await told.wait()
    assert stream.getvalue().startswith("\r\x1b[Kwaiting")


async def test_a_failure_of_what_is_waited_for_passes_through() -> None:
    """Progress is no reason to hide an error."""
    with pytest.raises(ExceptionGroup) as caught:
        async with Progress(Terminal()).ticking(lambda: ""):
            raise ValueError("body")
    assert caught.group_contains(ValueError, match="body")
