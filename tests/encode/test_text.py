"""The console's lines for a person."""

from __future__ import annotations

import re

from agent.batch import Stream
from agent.encode.text import text
from agent.level import Level
from tests.receivers.sent import batch, container


def test_a_line_says_when_who_where_and_what() -> None:
    sent = batch([b"hello", b"", b"it \xff as it came"], stream=Stream.STDERR)
    assert text(sent, colour=False).split(b"\n") == [
        b"2026-11-23T06:13:46.489Z web stderr | hello",
        b"2026-11-23T06:13:46.490Z web stderr | ",
        b"2026-11-23T06:13:46.491Z web stderr | it \xff as it came",
        b"",
    ]


def test_a_cut_line_says_so() -> None:
    assert (
        text(batch([b"half of", b"whole"], truncated=[0]), colour=False)
        .splitlines()[0]
        .endswith(b"| half of [truncated]")
    )


def test_colour_adds_nothing_but_colour() -> None:
    for stream in Stream:
        sent = batch(stream=stream)
        coloured = text(sent, colour=True)
        assert re.sub(rb"\x1b\[\d+m", b"", coloured) == text(sent, colour=False)
        assert coloured.count(b"\x1b[0m") >= len(sent)


def test_a_tag_keeps_its_colour_and_only_stderr_is_red() -> None:
    web, db = (text(batch([b""], of=container(name)), colour=True) for name in ("web", "db"))
    colours = [re.findall(rb"\x1b\[(\d+)m(?:web|db)\x1b", line) for line in (web, db, web)]
    assert colours[0] == colours[2] != colours[1]
    assert b"\x1b[31m" not in web
    assert b"\x1b[31mstderr" in text(batch([b""], stream=Stream.STDERR), colour=True)


def test_a_known_level_stands_before_the_bar() -> None:
    sent = batch([b"x", b"y", b"z"], truncated=[1])
    sent.levels = bytes([Level.WARNING, Level.INFO, 0])
    assert text(sent, colour=False).splitlines() == [
        b"2026-11-23T06:13:46.489Z web stdout warning | x",
        b"2026-11-23T06:13:46.490Z web stdout info | y [truncated]",
        b"2026-11-23T06:13:46.491Z web stdout | z",
    ]


def test_grave_levels_are_red() -> None:
    sent = batch([b"x"] * len(Level))
    sent.levels = bytes(Level)
    coloured = text(sent, colour=True)
    assert re.sub(rb"\x1b\[\d+m", b"", coloured) == text(sent, colour=False)
    assert re.findall(rb"\x1b\[31m(\w+)", coloured) == [b"error", b"critical", b"alert", b"emergency"]
    assert re.findall(rb"\x1b\[33m(warning)", coloured) == [b"warning"]
