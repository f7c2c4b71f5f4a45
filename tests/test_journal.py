"""The agent's own log: a line for each event, whoever reads it."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import orjson
import pytest

from agent.journal import MAX_CHARACTERS, begin, room


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """The root logger is the process's: other tests listen on it."""
    root, ours = logging.getLogger(), logging.getLogger("agent")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def written(format: str, level: str = "info") -> io.StringIO:
    """What the log writes from now on."""
    stream = io.StringIO()
    begin(level, format, stream)
    return stream


def logged_failure(format: str) -> str:
    """What is written of an exception."""
    stream = written(format)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("agent.spool").exception("restarted")
    return stream.getvalue()


def test_a_line_for_a_person_has_time_level_and_room() -> None:
    """What, where, when: in columns."""
    stream = written("text")
    logging.getLogger("agent.engine.client").info("connected to %s", "unix:///x")
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO  engine: connected to unix:///x\n", stream.getvalue())


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_event_is_one_line_whatever_is_in_it(format: str) -> None:
    """A container's name or a receiver's answer begins no line of its own and colours no terminal."""
    stream = written(format)
    logging.getLogger("agent.sinks").error("it said %s", "a\nb\x1b[31m\u2028c\r")
    assert stream.getvalue().count("\n") == 1
    assert logged_failure(format).count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_an_exception_is_named_with_its_place() -> None:
    """A person sees at once where; a program gets the whole traceback."""
    text = logged_failure("text")
    assert re.search(r"restarted \[ValueError: two\\nlines at test_journal.py:\d+]\n$", text)
    line = orjson.loads(logged_failure("json"))
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback")


def test_a_line_for_a_program_is_an_object() -> None:
    """With the time in UTC."""
    stream = written("json")
    logging.getLogger("agent.losses").warning("lost %d", 3)
    line = orjson.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "warning", "part": "losses", "message": "lost 3"}


def test_the_level_is_ours_and_others_are_heard_from_warning_on() -> None:
    """`debug` is about this program, not about every package it uses."""
    stream = written("text", "debug")
    logging.getLogger("agent.engine").debug("ours")
    logging.getLogger("aiohttp.access").info("theirs")
    logging.getLogger("aiohttp.access").warning("their warning")
    assert re.findall(r"\w+ +\w+: .*", stream.getvalue()) == [
        "DEBUG engine: ours",
        "WARN  aiohttp: their warning",
    ]


@pytest.mark.parametrize(
    ("logger", "shown"),
    [
        ("agent.engine.client", "engine"),
        ("agent.losses", "losses"),
        ("agent", "agent"),
        ("docker.api", "docker"),
    ],
)
def test_the_room_is_what_a_reader_sees(logger: str, shown: str) -> None:
    """Modules are for us."""
    assert room(logger) == shown


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_others_say_is_quoted_up_to_a_length(format: str) -> None:
    """A label may be a megabyte of anything, lone surrogates included."""
    stream = written(format)
    logging.getLogger("agent.labels").warning("label %s", "\ud800" + "x\x1b[2J" * 200_000)
    assert len(stream.getvalue()) < 4 * MAX_CHARACTERS
    assert "(1000007 characters)" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
