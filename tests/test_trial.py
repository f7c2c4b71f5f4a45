"""`dockferry try`: what becomes of lines, and why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.errors import UsageError
from agent.settings import Settings
from agent.sinks import parse_sink
from agent.sinks.base import Sink
from agent.trial import labels_of, trial_of_lines


def tried(
    *lines: bytes, labels: dict[str, str] | None = None, as_json: bool = False, **settings: str
) -> list[str]:
    """What is said of these lines."""
    said: list[str] = []
    environ = {f"DOCKFERRY_{name.upper()}": text for name, text in settings.items()}
    sinks: list[Sink[Any]] = []
    settled = Settings.load(environ, accept=lambda name, url: sinks.append(parse_sink(name, url)))
    asked = {f"dockferry.{name}": text for name, text in (labels or {}).items()}
    trial_of_lines(settled, sinks, asked, [line + b"\n" for line in lines], said.append, as_json=as_json)
    return said


def test_without_a_rule_all_is_sent() -> None:
    """One record a line."""
    assert tried(b"a", b"b") == [
        "        1  send       a",
        "        2  send       b",
        "2 lines, 2 records to send",
    ]


def test_each_record_is_told_with_its_lines_in_their_order() -> None:
    """What is joined, what is left out and why, what was found in it."""
    said = tried(
        b"Traceback (most recent call last):",
        b'  File "x.py", line 1, in <module>',
        b"ValueError: no",
        b"GET /healthz",
        b'{"level":"warn","msg":"ada@example.com"}',
        b'{"level":"debug"}',
        labels={"multiline": "python", "parse": "json"},
        drop="/healthz",
        min_level="info",
        redact="email",
    )
    indent = " " * 22
    assert said == [
        "      1-3  send       Traceback (most recent call last):",
        f'{indent}|   File "x.py", line 1, in <module>',
        f"{indent}| ValueError: no",
        f"{indent}does not parse as json",
        "        4  leave out  GET /healthz",
        f"{indent}because of drop=/healthz",
        '        5  send       WARNING {"level":"warn","msg":"***"}',
        f'{indent}fields {{"level":"warn","msg":"***"}}',
        f"{indent}redacted",
        '        6  leave out  {"level":"debug"}',
        f"{indent}because of min_level=info",
        said[-1],
    ]
    assert said[-1].startswith("6 lines, 2 records to send, ")
    assert "1 withheld by min_level" in said[-1]


def test_a_record_s_own_time_is_told() -> None:
    """And the Engine's is what it is known by."""
    said = tried(b'{"t":"2026-11-23T06:13:46Z"}', parse="json;time=t")
    assert " " * 22 + "time 2026-11-23T06:13:46.000000000Z" in said


def test_a_flood_is_told() -> None:
    """The lines that are too many, and the record that says so."""
    said = tried(*[b"x"] * 3, rate="1/m")
    assert [line.split()[1] for line in said if "send" in line[:20] or "leave" in line[:20]] == [
        "send",
        "leave",
        "leave",
        "send",
    ]
    assert "2 records withheld" in said[-2]


def test_what_one_sink_is_not_to_get_is_told() -> None:
    """By its own options, and by the container's route."""
    said = tried(
        b"[INFO] ada@example.com",
        level="auto",
        sink_all="console:",
        sink_alerts="tcp://127.0.0.1:1?min_level=error",
        sink_partner="tcp://127.0.0.1:2?redact=email",
    )
    assert said[1:3] == [
        " " * 22 + "not to alerts, whose options leave it out",
        " " * 22 + "to partner as [INFO] ***",
    ]
    said = tried(b"x", labels={"sinks": "b"}, sink_a="console:", sink_b="tcp://127.0.0.1:1")
    assert said[-1] == "1 lines, 1 records to send, to b only"


def test_as_json_only_what_is_sent() -> None:
    """For a program to read."""
    [line] = tried(b'{"a":1}', b"no", parse="json", keep="field.a", as_json=True)
    record = json.loads(line)
    assert (record["message"], record["fields"]) == ('{"a":1}', {"a": 1})


def test_nothing_in_a_line_acts_on_the_terminal() -> None:
    """Shown as what it is."""
    said = "".join(tried(b"\x1b[2J\r", b'{"a":"\\u001b[2J"}', parse="auto"))
    assert "\x1b" not in said
    assert r"\x1b[2J\r" in said


def test_a_label_that_is_wrong_is_an_error_here() -> None:
    """Where it is only ignored in a container."""
    with pytest.raises(UsageError, match=r"label dockferry\.parse: 'jsn' is not"):
        tried(b"x", labels={"parse": "jsn"})


def test_labels_are_typed_with_or_without_the_prefix() -> None:
    """As in the Compose file, or shorter."""
    assert labels_of(["parse=json", "dockferry.drop=a=b"]) == {
        "dockferry.parse": "json",
        "dockferry.drop": "a=b",
    }
    with pytest.raises(UsageError, match="a label is written NAME=VALUE"):
        labels_of(["parse"])
