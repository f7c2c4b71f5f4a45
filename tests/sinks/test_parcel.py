"""Promises of agent/sinks/parcel.py: however records are cut, halved and picked, each is there once, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.batch import RECORD_OVERHEAD_BYTES, Batch
from agent.sinks.parcel import Parcel, Part, cut
from tests.sinks.scripted import WEB, batch

Row = tuple[int, int, bytes, int, bool, bytes]


def rows(parcel: Parcel) -> list[Row]:
    """All that a sink could see of each row, and its entry."""
    return [
        (
            part.seq,
            part.batch.timestamps[row],
            message,
            0 if part.batch.ordinals is None else part.batch.ordinals[row],
            row in part.batch.truncated,
            part.batch.rfc3339()[row],
        )
        for part in parcel.parts
        for row, message in enumerate(part.batch.messages)
    ]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    messages = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=12))
    made = batch(*messages, first_ns=draw(st.integers(0, 10**9)))
    if draw(st.booleans()):
        made.ordinals = draw(st.lists(st.integers(0, 9), min_size=len(messages), max_size=len(messages)))
    made.truncated = draw(st.frozensets(st.integers(0, len(messages) - 1)))
    return made


entries = st.lists(batches(), min_size=1, max_size=6).map(lambda them: list(enumerate(them, start=7)))


def whole(numbered: list[tuple[int, Batch]]) -> Parcel:
    return Parcel(tuple(Part.of(seq, each) for seq, each in numbered))


@given(entries, st.integers(1, 15), st.integers(1, 3_000))
def test_cut_into_parcels_nothing_is_lost_and_no_bound_exceeded(
    numbered: list[tuple[int, Batch]], records: int, weight: int
) -> None:
    """But by a record that is too heavy for any parcel: it travels alone."""
    parcels = list(cut(numbered, records=records, weight=weight))
    assert [row for parcel in parcels for row in rows(parcel)] == rows(whole(numbered))
    for parcel in parcels:
        assert 1 <= len(parcel) <= records
        assert len(parcel) == 1 or parcel.weight <= weight


@given(entries)
def test_batches_that_fit_are_handed_on_as_they_are(numbered: list[tuple[int, Batch]]) -> None:
    """Their encodings are shared by all sinks: a copy would be encoded again."""
    (parcel,) = cut(numbered, records=1_000, weight=1 << 20)
    assert all(was is now for (_, was), now in zip(numbered, parcel.batches, strict=True))
    assert parcel.bytes == sum(len(message) for _, each in numbered for message in each.messages)
    assert parcel.weight == parcel.bytes + len(parcel) * RECORD_OVERHEAD_BYTES


@given(entries)
def test_halves_are_the_whole(numbered: list[tuple[int, Batch]]) -> None:
    """In order, and of equal size but for one."""
    parcel = whole(numbered)
    first, last = parcel.halves()
    assert rows(first) + rows(last) == rows(parcel)
    assert 0 <= len(last) - len(first) <= 1


@given(entries, st.data())
def test_picked_rows_are_those_asked_for(numbered: list[tuple[int, Batch]], data: st.DataObject) -> None:
    """With every column, whichever batches they are in."""
    parcel = whole(numbered)
    asked = sorted(data.draw(st.sets(st.integers(0, len(parcel) - 1))))
    picked = parcel.pick(asked)
    assert rows(picked) == [row for place, row in enumerate(rows(parcel)) if place in asked]
    assert picked.bytes == sum(len(row[2]) for row in rows(picked))
    assert all(each.container is WEB and len(each) for each in picked.batches)
