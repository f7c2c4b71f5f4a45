"""Any batch there can be, for properties of encoders."""

from __future__ import annotations

from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream

STAMPS = st.integers(0, 4_000_000_000 * 10**9)
AWKWARD = st.sampled_from(
    [b"", b"\x7f", b'"\\', b"\n\r\x00", b"\xff\xfe", b"\xe2\x82", b"\xac", "\u2028€😀".encode()]
)
MESSAGES = st.one_of(st.binary(max_size=30), AWKWARD, st.text(max_size=20).map(str.encode))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch there can be."""
    messages = draw(st.lists(MESSAGES, max_size=8))
    rows = len(messages)
    column = st.lists(STAMPS, min_size=rows, max_size=rows)
    places = st.lists(st.integers(0, 3), min_size=rows, max_size=rows)
    container = Container(
        id="0123456789abcdef" * 4,
        name=draw(WORDS.filter(bool)),
        image="image",
        tag=draw(WORDS.filter(bool)),
        host="host",
        labels=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        env=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        project=draw(st.none() | WORDS.filter(bool)),
        service=draw(st.none() | WORDS.filter(bool)),
    )
    return Batch(
        container=container,
        stream=draw(st.sampled_from(Stream)),
        timestamps=draw(column),
        messages=messages,
        ordinals=draw(st.none() | places),
        truncated=frozenset(draw(st.sets(st.integers(0, rows - 1)))) if rows else frozenset(),
    )
