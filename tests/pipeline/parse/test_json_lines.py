"""JSON lines, well-formed and as programs write them."""

from __future__ import annotations

import json

import orjson
import pytest

from agent.pipeline.parse.json_lines import MAX_MENDED_BYTES
from tests.pipeline.parse.lines import fields, parsed
from tests.pipeline.steps import Tallied


def test_a_line_is_its_own_encoding() -> None:
    """No number loses digits, no escape is changed."""
    line = rb'{"id": 123456789012345678901234567890, "price":1.10, "who":"\u00e9", "in":{"a":[1,{"b":null}]}}'
    assert parsed("json", line).fields == [line]


def test_blanks_around_it_do_not_matter() -> None:
    """Nor does the carriage return of another system."""
    assert parsed("json", b'  {"a":1} \r', b'\t{"b":2}\n').fields == [b'{"a":1}', b'{"b":2}']


def test_an_object_on_several_lines_becomes_one() -> None:
    """As multi-line joins it."""
    assert parsed("json", b'{\n  "a": "x y",\r\n  "b": 2\n}').fields == [b'{   "a": "x y",    "b": 2 }']


@pytest.mark.parametrize(
    "line",
    [
        b"plain",
        b"",
        b"{",
        b"}",
        b"{}}",
        b'{"a":1}{"b":2}',
        b'{"a":1},{"b":2}',
        b"[1]",
        b'"x"',
        b"1",
        b"null",
        b"{'a':1}",
        b'{"a":1} tail',
        b'{"a":\x00}',
        b'{"a":01}',
        b'{"a":"raw\nnewline"}',
    ],
)
def test_what_is_no_object_stays_plain(line: bytes) -> None:
    """And its neighbours do not mind."""
    tally = Tallied()
    found = parsed("json", b'{"n":1}', line, b'{"n":2}', tally=tally)
    assert found.fields == [b'{"n":1}', None, b'{"n":2}']
    assert found.messages[1] == line
    assert tally.counts["unparsed"] == 1


def test_lines_that_are_json_only_together_are_none() -> None:
    """Each begins and ends as an object does, and joined by commas they are two objects."""
    found = parsed("json", b'{"a":1},{"b":2}', b'{"c":[{}', b"{}]}")
    assert found.fields is None


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"a":"\xff\xfe!"}', {"a": "\ufffd\ufffd!"}),
        (rb'{"a":"x\ud800y"}', {"a": "x\ufffdy"}),
        (rb'{"a":"\udc00\ud83d\ude00\ud800"}', {"a": "\ufffd😀\ufffd"}),
        (rb'{"a":"\\ud800 \ud800"}', {"a": r"\ud800 " + "\ufffd"}),
        (
            b'{"a":NaN,"b":[Infinity,-Infinity],"c":"NaN \\" NaN"}',
            {"a": None, "b": [None, None], "c": 'NaN " NaN'},
        ),
        (b'{"a":1e999,"b":' + b"9" * 5000 + b',"c":-2.5e3}', {"a": None, "b": None, "c": -2500.0}),
    ],
)
def test_what_programs_write_all_the_same_is_mended(line: bytes, wanted: object) -> None:
    """Half a surrogate pair is no reason to lose nine good fields."""
    assert fields("json", line) == wanted


def test_a_long_line_is_not_mended() -> None:
    """It costs too much; it stays a line."""
    assert parsed("json", b'{"a":NaN,"b":"' + b"x" * 70_000 + b'"}').fields is None


@pytest.mark.parametrize("piece", [b'{"a":"', rb"\"NaN", rb'"\"', b"1e", rb"\u", rb"\ud800", b"-", b"NaN"])
def test_mending_ends_soon(piece: bytes) -> None:
    """Were it quadratic, one of these would take an hour; the test's own limit is two minutes."""
    hostile = (piece * MAX_MENDED_BYTES)[: MAX_MENDED_BYTES - 10]
    for line in (b"{" + hostile + b"}", b'{"' + hostile + b"}"):
        assert parsed("json", line).fields is None


def test_names_may_be_anything() -> None:
    """Empty, with NUL, quotes, newlines, dots: JSON can hold them all."""
    line = rb'{"":1,"a\u0000":2,"b\n":3,"\"":4,"log.level":5,"\u0001":6}'
    assert parsed("json", line).fields == [line]


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a" :2}',
        rb'{"a":1,"\u0061":2}',
        rb'{"x":"\":","a":1,"a":2}',
        rb'{"b":1,"b\\":1,"b":2}',
        b'{"in":{"a":1,"a":2}}',
        b'{"in":[[{"a":1,"a":2}]],"text":"x y"}',
        b'{"a":1,"a"\t:2,"long":"' + b"x" * 3000 + b'"}',
    ],
)
def test_no_name_stands_in_it_twice(line: bytes) -> None:
    """Elasticsearch and others refuse such a record; the last one counts."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        assert len(made) == len(pairs)
        return made

    found = parsed("json", line).fields
    assert found is not None
    text = found[0]
    assert text is not None
    assert json.loads(text, object_pairs_hook=unique) == orjson.loads(line)


def test_ten_thousand_levels_stay_plain() -> None:
    """A parser that recurses would be killed by them."""
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    assert parsed("json", deep, b"{" + b'"a":[' * 10_000).fields is None
