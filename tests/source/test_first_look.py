"""A log that had rotated before anybody looked: when it is said, and when not."""

from __future__ import annotations

import pytest

from agent.batch import NS, rfc3339
from agent.source.first_look import FirstLook
from agent.source.lines import Records
from agent.source.meter import encoded_as

MB = 1_000_000
STARTED_NS = 1_790_000_000 * NS
LINE = b"x" * 156


def burst(first_ns: int, count: int, step_ns: int) -> Records:
    stamps = [first_ns + row * step_ns for row in range(count)]
    return Records([1] * count, stamps, list(map(rfc3339, stamps)), [LINE] * count)


def look(first_ms: float, count: int, step_ns: int, *, looked_ms: float = 10_000) -> int | None:
    """What a first look finds: so many records from then on, read at that time after the start."""
    looking = FirstLook(STARTED_NS, MB, MB, encoded_as("json-file"))
    records = burst(STARTED_NS + int(first_ms * 1e6), count, step_ns)
    return looking.see(records, STARTED_NS + int(looked_ms * 1e6)) or looking.end()


@pytest.mark.parametrize(
    ("first_ms", "count", "step_ns"),
    [(2, 8000, 5000), (400, 8000, 1_000_000), (100, 200, 5000)],
    ids=["from the start", "late and slow", "late, but little"],
)
def test_what_may_be_whole_is_not_said_to_be_lost(first_ms: float, count: int, step_ns: int) -> None:
    assert look(first_ms, count, step_ns) is None


def test_full_files_that_begin_late_in_a_burst_are_said() -> None:
    assert look(50, 8000, 5000) == STARTED_NS + 50_000_000


def test_what_is_written_after_the_first_look_does_not_count() -> None:
    """Files that fill up while they are read are no sign."""
    assert look(50, 8000, 5000, looked_ms=60) is None
    looking = FirstLook(STARTED_NS, MB, MB, encoded_as("json-file"))
    assert looking.see(burst(STARTED_NS + 50_000_000, 10, 5000), STARTED_NS + 51_000_000) is None
    assert looking.see(burst(STARTED_NS + 60_000_000, 8000, 5000), STARTED_NS + 200_000_000) is None
    assert looking.end() is None
