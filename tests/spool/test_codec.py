"""A row's bytes: what goes in comes out, and damage is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Stream
from agent.spool.codec import Unreadable, decode, encode
from tests.spool.batches import WEB, batch

STAMPS = st.integers(0, 2**63 - 1)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    messages = draw(st.lists(st.binary(max_size=300), max_size=30))
    rows = len(messages)
    ordinals = st.none() | st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows)
    truncated = st.frozensets(st.integers(0, rows - 1)) if rows else st.just(frozenset[int]())
    stamps = draw(st.lists(STAMPS, min_size=rows, max_size=rows))
    return Batch(WEB, draw(st.sampled_from(Stream)), stamps, messages, draw(ordinals), draw(truncated))


@given(batches())
def test_what_is_encoded_comes_back(made: Batch) -> None:
    back = decode(encode(made), WEB, made.stream)
    assert (back.timestamps, back.messages) == (made.timestamps, made.messages)
    assert (back.ordinals, back.truncated, back.stream) == (made.ordinals, made.truncated, made.stream)
    assert back.container is WEB


@given(batches(), st.data())
def test_one_changed_byte_is_noticed(made: Batch, data: st.DataObject) -> None:
    row = bytearray(encode(made))
    place = data.draw(st.sampled_from([at for at in range(len(row)) if at != 1]))
    row[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unreadable):
        decode(bytes(row), WEB, made.stream)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(data, WEB, Stream.STDOUT)


@given(batches(), st.data())
def test_a_row_cut_short_is_noticed(made: Batch, data: st.DataObject) -> None:
    row = encode(made)
    with pytest.raises(Unreadable):
        decode(row[: data.draw(st.integers(0, len(row) - 1))], WEB, made.stream)


def test_like_lines_take_little_room() -> None:
    made = batch(1, rows=1000, size=157)
    assert len(encode(made)) < 157_000 / 5
