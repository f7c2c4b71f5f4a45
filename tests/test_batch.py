"""Batches: columns, their parts, and ids that stay."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.batch import NS, RECORD_OVERHEAD_BYTES, Batch, Container, Stream, rfc3339, rfc3339_run
from agent.source.lines import parse_time

WEB = Container(
    id="0123456789" * 6 + "abcd", name="web", image="i", tag="t", host="h", labels={"b": "1", "a": "2"}
)


def batch() -> Batch:
    return Batch(WEB, Stream.STDERR, [1, 1, 2], [b"a", b"b", b"cc"], [0, 1, 0], frozenset({1, 2}))


def test_ids_tell_container_stream_time_and_place() -> None:
    """And need no ordinals where every time is another."""
    assert batch().ids() == [
        b"01234567890123456789e1",
        b"01234567890123456789e1-1",
        b"01234567890123456789e2",
    ]
    assert Batch(WEB, Stream.STDOUT, [7], [b""]).ids() == [b"01234567890123456789o7"]


def test_rows_are_a_batch_of_their_own() -> None:
    """With their ids and marks."""
    whole = batch()
    whole.rfc3339()
    part = whole.rows(1, 3)
    assert part.ids() == whole.ids()[1:]
    assert part.messages == [b"b", b"cc"]
    assert part.truncated == {0, 1}
    assert part.times == whole.rfc3339()[1:]
    assert len(whole.rows(0, 0)) == 0


def test_the_size_is_what_the_memory_holds() -> None:
    """Encodings included."""
    whole = batch()
    assert whole.size == 4 + 3 * RECORD_OVERHEAD_BYTES
    whole.encoded["x"] = b"12345"
    assert whole.size == 9 + 3 * RECORD_OVERHEAD_BYTES


def test_a_container_outlives_the_process() -> None:
    """Equal metadata, equal fingerprint, in whatever order."""
    again = Container.from_json(WEB.to_json())
    assert again.to_json() == WEB.to_json()
    assert replace(WEB, labels={"a": "2", "b": "1"}).fingerprint() == again.fingerprint()
    assert replace(WEB, tag="u").fingerprint() != again.fingerprint()


def test_what_was_saved_before_there_were_orchestrators_is_read() -> None:
    """And looks the same where there is none: an upgrade makes no container another."""
    assert b"swarm" not in WEB.to_json()
    assert Container.from_json(WEB.to_json()).kubernetes == {}
    task = replace(WEB, swarm={"task": "web.1.x"}, kubernetes={"pod": "p"})
    assert task.fingerprint() != WEB.fingerprint()
    again = Container.from_json(task.to_json())
    assert (again.swarm, again.kubernetes) == ({"task": "web.1.x"}, {"pod": "p"})


@given(st.integers(0, (1 << 63) - NS - 1))
def test_a_time_written_is_the_time_read(stamp: int) -> None:
    """To the nanosecond."""
    assert len(rfc3339(stamp)) == 30
    assert parse_time(rfc3339(stamp)) == stamp


@given(st.integers(0, 20 * NS), st.integers(0, 2000))
def test_times_in_a_run_are_written_as_each_by_itself(first: int, count: int) -> None:
    """Over the end of a second, too."""
    expected = [rfc3339(stamp) for stamp in range(first, first + count)]
    assert rfc3339_run(first, count) == expected
    first = first // NS * NS + NS - count // 2
    assert rfc3339_run(first, count) == [rfc3339(stamp) for stamp in range(first, first + count)]
