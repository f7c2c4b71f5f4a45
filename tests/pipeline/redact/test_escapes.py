"""Escapes are resolved as JSON means them, and what is found behind them is found again in the text."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pipeline.redact.escapes import DEPTH, View, plain, readings, resolved, trimmed, views

escapes = st.sampled_from(
    [rb"\n", rb"\"", rb"\\", rb"\/", rb"\u0041", rb"\ud83d\ude00", rb"\ud800", rb"\x41", rb"\d", b"\\"]
)
raw = st.lists(
    escapes | st.binary(max_size=4) | st.sampled_from([b"\xff\xfe", b"\xfe\xff"]), max_size=10
).map(b"".join)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        (rb"a\u0040b", b"a@b"),
        (rb"\\u0040", rb"\u0040"),
        (rb"\\\u0040", rb"\@"),
        (rb"\ud83d\ude00\ud83d", "\U0001f600\ufffd".encode()),
        (rb"\n\t\r\b\f\"\/\'\\", b"\n\t\r\b\f\"/'\\"),
        (rb"\x40\xe9", "@é".encode()),
        (rb"C:\dir\u00", rb"C:\dir\u00"),
        (b"\\", b"\\"),
        (b"", b""),
    ],
)
def test_a_text_reads_with_its_escapes_resolved(text: bytes, reads: bytes) -> None:
    """By the way that many texts go at once, and by that of a single one."""
    assert resolved([text, b"\\n", text]) == [reads, b"\n", reads]
    assert resolved([text, b"\xff\xfe"])[0] == reads
    assert View(text).text == reads


@settings(derandomize=True)
@given(st.lists(raw, min_size=1, max_size=5))
def test_many_at_once_read_as_each_by_itself(texts: list[bytes]) -> None:
    """Binary ones, too."""
    assert resolved(texts) == [View(text).text for text in texts]


@settings(derandomize=True)
@given(st.text(max_size=20))
def test_json_reads_as_json(text: str) -> None:
    """What a JSON decoder makes of it."""
    written = orjson.dumps(text)[1:-1]
    assert View(written).text == text.encode()


@settings(derandomize=True)
@given(raw, st.integers(0, 40), st.integers(0, 40))
def test_a_part_that_is_led_back_reads_the_same(text: bytes, one: int, other: int) -> None:
    """With whole escapes, and at most what else they stand for."""
    view = View(text)
    start, end = sorted((min(one, len(view.text)), min(other, len(view.text))))
    first, last = view.back((start, end))
    assert 0 <= first <= last <= len(text)
    assert view.text[start:end] in View(text[first:last]).text
    assert trimmed((first, last), view.escapes) == (first, last)


@settings(derandomize=True)
@given(raw, st.integers(0, 40), st.integers(0, 40))
def test_a_trimmed_part_cuts_no_escape(text: bytes, one: int, other: int) -> None:
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    view = View(text)
    first, last = trimmed((start, end), view.escapes)
    if first < last:
        assert start <= first <= last <= end
        assert View(text[:first]).text + View(text[first:last]).text + View(text[last:]).text == view.text


def test_json_in_json_is_read_to_a_depth() -> None:
    text = b"@"
    nested = rb"\u0040"
    for _ in range(DEPTH - 1):
        nested = orjson.dumps(nested.decode())[1:-1]
    assert plain(nested) == text
    assert len(views(nested)) == DEPTH
    assert [*readings(nested)] == [nested, *(view.text for view in views(nested))]
    assert plain(orjson.dumps(nested.decode())[1:-1]) == rb"\u0040"
