"""How much of a line becomes fields."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agent.pipeline.parse.bounds import (
    MARK,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NAME_BYTES,
    MAX_NAMES,
    MAX_TEXT_BYTES,
    encode,
    keep,
)


def kept(made: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever JSON may hold
    """What is left of an object's JSON text."""
    [text] = keep([orjson.dumps(made)], [made])
    assert len(text) <= MAX_BYTES
    return orjson.loads(text)


def nested(depth: int) -> dict[str, Any]:
    """So many objects, one in the other."""
    made: dict[str, Any] = {"leaf": 1}
    for _ in range(depth - 1):
        made = {"in": made, "beside": 2}
    return made


@pytest.mark.parametrize(
    "made",
    [
        {},
        {str(number): number for number in range(MAX_NAMES)},
        {str(number): [{}, 1, {}] for number in range(MAX_NAMES)},
        {"a" * (MAX_NAME_BYTES - 4): 1},
        {"a": "x" * MAX_TEXT_BYTES},
        {"a": list(range(10_000))},
        nested(MAX_DEPTH),
        {"a": [[[[[[[[["deep"]]]]]]]]]},
    ],
    ids=["empty", "names", "names of lists", "name", "text", "list", "depth", "lists"],
)
def test_what_is_within_bounds_stays_whole(made: dict[str, Any]) -> None:
    """Up to the last byte."""
    assert kept(made) == made


def test_names_beyond_are_left_out() -> None:
    """A hundred thousand, more than a line holds, cost no more than the first ones."""
    left = kept({str(number): number for number in range(100_000)})
    assert left == {str(number): number for number in range(MAX_NAMES)} | {MARK: True}


def test_names_in_all_objects_count() -> None:
    """Else a list of objects would be a way around the bound."""
    left = kept({"a": [{"n": number} for number in range(1000)]})
    assert left == {"a": [{"n": number} for number in range(MAX_NAMES - 1)], MARK: True}


def test_a_name_that_is_too_long_is_left_out() -> None:
    """With its value; cut it would be another's."""
    assert kept({"a": 1, "n" * 2000: 2, "b": 3}) == {"a": 1, "b": 3, MARK: True}
    assert kept({"\x01" * 200: 2, "b": "x" * 1100}) == {"b": "x" * 1100, MARK: True}


def test_a_text_that_is_too_long_is_cut() -> None:
    """At a whole character."""
    left = kept({"a": "é" * MAX_TEXT_BYTES, "b": 1})
    assert left == {"a": "é" * (MAX_TEXT_BYTES // 2), "b": 1, MARK: True}


def test_what_lies_too_deep_is_left_out() -> None:
    """What stands beside it stays."""
    left = kept(nested(MAX_DEPTH + 5))
    depth = 0
    assert left.pop(MARK) is True
    while "in" in left:
        assert left["beside"] == 2
        left = left["in"]
        depth += 1
    assert (depth, left) == (MAX_DEPTH - 1, {"beside": 2})


def test_lists_count_as_depth() -> None:
    """Though nothing in them has a name."""
    deep: list[Any] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    left = kept({"a": deep, "b": 1})
    assert (str(left["a"]).count("["), left["b"], left[MARK]) == (MAX_DEPTH - 1, 1, True)


def test_the_whole_is_bounded() -> None:
    """Whatever it consists of."""
    texts = {str(number): "x" * 20_000 for number in range(10)}
    assert list(kept(texts)) == ["0", "1", "2", MARK]
    assert kept({"a": [0.123456789] * 100_000})[MARK]
    assert kept({"a": [[] for _ in range(100_000)]})[MARK]
    assert kept({"a": "\x01" * 30_000}) == {MARK: True}


def test_the_mark_is_ours() -> None:
    """A container that writes it too does not hide it."""
    assert kept({MARK: False, "a": "x" * 40_000})[MARK] is True
    assert kept({MARK: 5}) == {MARK: 5}


def test_blanks_and_escapes_do_not_pass_the_bound() -> None:
    """What is short as JSON may be long as it was written."""
    wide = b'{"a":' + b" " * MAX_BYTES + b'1,"b":"' + rb"\u0041" * 100 + b'"}'
    assert keep([wide], [orjson.loads(wide)]) == [b'{"a":1,"b":"' + b"A" * 100 + b'"}']


def test_texts_and_numbers_are_bounded_too() -> None:
    """For formats that make objects of their own."""
    few, many = {"a": "b"}, {str(number): "x" for number in range(MAX_NAMES + 1)}
    assert encode([few, many]) == [b'{"a":"b"}', orjson.dumps(dict(list(many.items())[:-1]) | {MARK: True})]
