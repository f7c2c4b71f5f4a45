"""The columns that parsing makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.level import Level
from agent.pipeline.parse import Parse
from tests.pipeline.parse.lines import parsed
from tests.pipeline.steps import Tallied, batch


def test_fields_and_levels_stand_beside_the_lines() -> None:
    """The lines stay as they are."""
    found = parsed("json", b'{"level":"error","a":1}', b"plain", b'{"b":2}')
    assert found.fields == [b'{"level":"error","a":1}', None, b'{"b":2}']
    assert found.levels == bytes([Level.ERROR, 0, 0])
    assert found.messages == [b'{"level":"error","a":1}', b"plain", b'{"b":2}']
    assert (found.read_at, found.times) == (None, None)


def test_a_batch_without_anything_to_parse_is_the_same_batch() -> None:
    """Its encodings are too; but its lines are counted."""
    tally = Tallied()
    plain = batch(b"a", b"b")
    assert Parse.parse("json;time=t;message=m").step(tally)(plain) is plain
    assert tally.counts["unparsed"] == 2


def test_encodings_of_the_batch_before_are_not_handed_on() -> None:
    """They know nothing of the fields."""
    before = replace(batch(b'{"a":1}'), encoded={"ndjson": b"old"}, truncated=frozenset({0}), ordinals=[4])
    after = Parse.parse("json").step(Tallied())(before)
    assert (after.encoded, before.encoded) == ({}, {"ndjson": b"old"})
    assert (after.truncated, after.ordinals, after.container) == (frozenset({0}), [4], before.container)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"msg":"hi \\u00e9\\n"}', "hi é\n".encode()),
        (b'{"msg":""}', b""),
        (b'{"msg":5}', b'{"msg":5}'),
        (b'{"msg":null}', b'{"msg":null}'),
        (b'{"a":1}', b'{"a":1}'),
        (b"plain \xff", b"plain \xff"),
        (b'{"msg":"\xff"}', "\ufffd".encode()),
    ],
)
def test_a_text_becomes_the_message_if_asked(line: bytes, message: bytes) -> None:
    """Where there is one. The fields stay whole."""
    found = parsed("json;message=msg", b'{"msg":"first"}', line)
    assert found.messages == [b"first", message]
    assert found.fields == [b'{"msg":"first"}', *(parsed("json", line).fields or [None])]


def test_two_containers_do_not_mix() -> None:
    """A step each."""
    rule = Parse.parse(r"regex=(?P<n>\d+)")
    one, two = rule.step(Tallied()), rule.step(Tallied())
    assert one(batch(b"a 1")).fields == [b'{"n":"1"}']
    assert two(batch(b"b 22")).fields == [b'{"n":"22"}']


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"n=1 who=bob", [b'{"n":"1","who":"bob"}']),
        (b"n=1", [b'{"n":"1"}']),
        (b"x", None),
        (b"n=1 who=\xc3\xa9\xff", ['{"n":"1","who":"é"}'.encode()]),
        (b"n=1" + b" " * 70_000, None),
    ],
)
def test_named_groups_become_fields(line: bytes, wanted: object) -> None:
    """Those that matched; a group without a name is only for grouping."""
    assert parsed(r"regex=n=(?P<n>\d+)(?: who=(?P<who>\pL+))?", line).fields == wanted


def test_an_evil_pattern_ends_soon() -> None:
    """RE2 is linear."""
    assert parsed(r"regex=^(?P<a>(a+)+)+$", b"a" * 30_000 + b"b").fields is None
