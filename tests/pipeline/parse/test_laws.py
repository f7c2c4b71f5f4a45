"""What holds for every format and whatever lines there are."""

from __future__ import annotations

import json
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.batch import Batch
from agent.level import Level
from agent.pipeline.parse.bounds import MAX_BYTES, MAX_DEPTH, MAX_NAMES
from tests.pipeline.parse.lines import parsed
from tests.pipeline.steps import Tallied

RULES = (
    "auto",
    "json",
    "json;level=a;time=t;message=m",
    "logfmt;time=t;message=m",
    "clf;level=status;time=time",
    "nginx;time=time",
    r"regex=(?P<level>\w+)(?:=(?P<t>\S*))?;time=t;message=level",
)
GOOD = (
    b'{"level":"info","t":1795414426,"m":"x","n":{"a":[1,{"b":null}]},"a":"warn"}',
    b'{"time": "2026-11-23T06:13:46Z", "severity": "ERROR", "a\\"": "\\ud83d\\ude00"}',
    b'level=info t=2026-11-23T06:13:46Z m="a \\"b\\" c" on',
    b'127.0.0.1 - bob [23/Nov/2026:16:45:14 +0000] "GET /x HTTP/1.1" 200 3 "-" "curl/7" "1.2.3.4"',
    b'2026/11/23 16:45:14 [error] 1#1: *2 no, client: 1.1.1.1, server: x, request: "GET / HTTP/1.1"',
    b"plain",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good line, with bytes put in, taken out or doubled."""
    line = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(line)))
        stop = draw(st.integers(start, min(len(line), start + 8)))
        put = draw(
            st.sampled_from(
                [b"", b'"', b"\\", b"{", b"}", b":", b"\xff", b"\n", b"\x00", line[start:stop] * 2]
            )
        )
        line = line[:start] + put + line[stop:]
    return line


@st.composite
def json_lines(draw: st.DrawFn) -> bytes:
    """An object as some library would write it."""
    made = draw(st.dictionaries(st.text(max_size=6), JSON, max_size=6))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
    text = json.dumps(made, ensure_ascii=draw(st.booleans()), separators=separators)
    return text.encode(errors="replace")


def depth_of(value: object) -> int:
    """Of objects and lists within each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def names_of(value: object) -> int:
    """In an object and all objects within it."""
    if isinstance(value, dict):
        return len(value) + sum(map(names_of, value.values()))
    return sum(map(names_of, value)) if isinstance(value, list) else 0


def check(found: Batch, lines: list[bytes]) -> None:
    """Columns of one length, levels that exist, fields that are objects within bounds on one line."""
    rows = len(lines)
    columns = [found.timestamps, found.levels, found.fields, found.read_at, found.times, found.ids()]
    assert [len(column) for column in columns if column is not None] == [
        rows for column in columns if column is not None
    ]
    assert len(found.messages) == rows
    assert set(found.levels or b"") <= {0, *Level}
    for text in found.fields or ():
        if text is not None:
            assert len(text) <= MAX_BYTES
            assert b"\n" not in text
            assert b"\r" not in text
            made = orjson.loads(text)
            assert isinstance(made, dict)
            assert depth_of(made) <= MAX_DEPTH
            assert names_of(made) <= MAX_NAMES + 1  # and the mark


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=50)
@given(lines=st.lists(spoilt() | json_lines() | st.binary(max_size=40), max_size=6))
def test_whatever_a_container_writes(rule: str, lines: list[bytes]) -> None:
    """Nothing is raised, nothing lost, nothing invalid made; and each line is read as if it were alone."""
    tally = Tallied()
    found = parsed(rule, *lines, tally=tally)
    check(found, lines)
    for row, line in enumerate(lines):
        alone = parsed(rule, line)
        assert found.messages[row] == alone.messages[0]
        assert (found.fields[row] if found.fields else None) == (alone.fields[0] if alone.fields else None)
        assert (found.levels[row] if found.levels else 0) == (alone.levels[0] if alone.levels else 0)
    assert tally.counts["unparsed"] <= len(lines)


@pytest.mark.parametrize("rule", RULES)
def test_whatever_it_writes_at_length(rule: str) -> None:
    """Lines as long as the agent reads them, of few pieces over and over."""
    chance = random.Random(7)
    pieces = (
        b'{"',
        b'":',
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"a",
        b"=",
        b" ",
        b"\\",
        b"\\u",
        b"1",
        b"\n",
        b'"a":1,',
    )
    for _ in range(15):
        some = chance.sample(pieces, 3)
        body = b"".join(chance.choices(some, k=60_000))
        for line in (body, b"{" + body + b"}", b'{"a":' + body + b"}", b"a=" + body):
            check(parsed(rule, line), [line])


@given(lines=st.lists(json_lines(), max_size=6))
def test_fields_are_what_the_line_said(lines: list[bytes]) -> None:
    """As another parser reads it."""
    found = parsed("json", *lines).fields or []
    for line, text in zip(lines, found, strict=False):
        try:
            said = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        assert text is not None
        assert orjson.loads(text) == said
