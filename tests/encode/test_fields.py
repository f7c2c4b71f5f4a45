"""Fields come out flat, in the order they had, in the letters of a format and within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.encode.fields import MOST_BYTES, MOST_DEPTH, MOST_FIELDS, MOST_NAME_CHARACTERS, Flattened, as_text
from tests.encode.test_parsed import OBJECTS


def made(fields: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON says
    return Flattened(str, **more).values(json.dumps(fields).encode())


def test_objects_are_taken_apart_and_values_keep_their_kind() -> None:
    found = made({"b": "x", "a": {"n": 1, "f": 0.5, "deep": {"t": True, "no": False}}, "z": 0})
    assert list(found.items()) == [
        ("b", "x"), ("a.n", 1), ("a.f", 0.5), ("a.deep.t", True), ("a.deep.no", False), ("z", 0)
    ]  # fmt: skip
    assert found["a.deep.t"] is True


def test_however_many_names_there_are_none_is_mistaken_for_another() -> None:
    """More than are remembered."""
    names = Flattened(str.upper, taken={"N7"})
    for place in range(10_000):
        assert names.values(b'{"n%d":%d}' % (place, place)) == {
            f"N{place}" if place != 7 else "FIELDS.N7": place
        }
    assert names.values(b'{"n7":7,"n8":8}') == {"FIELDS.N7": 7, "N8": 8}


def test_what_says_nothing_is_left_out_and_arrays_are_json() -> None:
    assert made({"a": None, "b": "", "c": [], "d": {}, "e": [1, {"x": "ü"}]}) == {"e": '[1,{"x":"ü"}]'}


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ((1 << 63) - 1, (1 << 63) - 1),
        (-(1 << 63), -(1 << 63)),
        (1 << 63, "9223372036854775808"),
        ((1 << 64) - 1, "18446744073709551615"),
    ],
)
def test_a_number_beyond_64_bits_with_a_sign_is_text(number: int, value: object) -> None:
    assert made({"n": number}) == {"n": value}


def test_deep_objects_are_json() -> None:
    deep: Any = "x"
    for _ in range(MOST_DEPTH + 2):
        deep = {"o": deep}
    assert made(deep) == {".".join("o" * MOST_DEPTH): '{"o":{"o":"x"}}'}


def test_names_are_the_format_s_and_the_first_of_several_stays() -> None:
    text = b'{"a b":1,"a-b":2,"a":{"b":3},"!":4}'
    names = Flattened(lambda name: name.replace(" ", ".").replace("-", ".").replace("!", ""))
    assert names.values(text) == {"a.b": 1}
    assert names.values(b'{"a-b":2,"a b":1}') == {"a.b": 2}


def test_a_taken_name_gets_something_before_it() -> None:
    found = made({"host": "x", "fields": {"host": "y"}, "id": 1, "fields.id": 2}, taken={"host", "fields.id"})
    assert found == {"fields.host": "x", "id": 1, "fields.fields.id": 2}


def test_how_many_there_may_be() -> None:
    many = {f"n{place}": place for place in range(1000)}
    assert list(made(many)) == [f"n{place}" for place in range(MOST_FIELDS)]
    assert list(made({"o": many, "p": 1}, most=3)) == ["o.n0", "o.n1", "o.n2"]
    assert made(many, most=0) == {}


def test_how_long_they_may_be() -> None:
    """One that is too long costs its neighbours nothing."""
    long = {"a": "ü" * MOST_BYTES, "n" * (MOST_NAME_CHARACTERS + 1): 1, "b": "x", "c": ["ü"] * MOST_BYTES}
    assert made(long) == {"b": "x"}
    assert made({"n" * 100: {"m" * 100: 1}, "n" * MOST_NAME_CHARACTERS: 2}) == {"n" * MOST_NAME_CHARACTERS: 2}


@given(OBJECTS)
def test_all_of_them_are_within_the_bounds(text: bytes) -> None:
    found = Flattened(str).texts(text)
    assert len(found) <= MOST_FIELDS
    assert (
        sum(len(name) for name in found) + sum(len(each.encode()) for each in found.values())
        <= 2 * MOST_BYTES
    )
    assert all(name and value for name, value in found.items())


@given(
    st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
def test_as_text_a_value_is_what_json_writes(value: float) -> None:
    assert json.loads(as_text(value)) == value
    assert as_text("x") == "x"
    assert Flattened(str).texts(None) == {}
