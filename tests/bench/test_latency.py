"""Times under way, and the pace at which lines with times are written."""

from __future__ import annotations

import pytest

from tests.bench.latency import Latencies, Latency, percentile
from tests.bench.lines import NUMBER, Lines
from tests.bench.pacing import Pace


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """The least that so large a share does not exceed."""
    ordered = [float(number) for number in range(1, 1001)]
    assert [percentile(ordered, share) for share in (0.5, 0.99, 0.999, 1)] == [500, 990, 999, 1000]
    assert [percentile([7.0], share) for share in (0, 0.5, 1)] == [7, 7, 7]


def test_times_under_way_come_from_the_lines() -> None:
    """Whatever a sink made of them; lines without a time are passed over."""
    lines, latencies = Lines(2, 157), Latencies()
    now_ns = 1_795_414_426_489_000_000
    assert latencies.found is None
    latencies.add(b'{"message":"' + lines.stamped(range(1, 2), now_ns - 5_000_000) + b'"}', now_ns)
    latencies.add(lines.stamped(range(2, 3), now_ns - 1_000_000) + lines.line(3), now_ns)
    assert latencies.found == Latency(p50=1, p99=5, p999=5, most=5)


def test_lines_become_due_with_time() -> None:
    """And no more than there are."""
    pace = Pace(Lines(100, 157), per_second=50)
    assert pace.due(0, 0.0) == range(1, 1)
    assert pace.due(0, 1.0) == range(1, 51)
    assert pace.due(50, 1.1) == range(51, 56)
    assert pace.due(90, 60.0) == range(91, 101)


def test_without_a_pace_lines_are_always_due() -> None:
    """Some at once, until all are written."""
    pace = Pace(Lines(100, 157), per_second=0)
    written = 0
    while written < 100:
        due = pace.due(written, 0.0)
        assert due.start == written + 1
        assert len(due) > 0
        written += len(due)
    assert written == 100


@pytest.mark.parametrize("containers", [1, 3, 7, 20])
def test_containers_take_turns(containers: int) -> None:
    """Each line is one container's, always the same one's."""
    pace = Pace(Lines(20, 157, first=4), per_second=1)
    at_once = {place: NUMBER.findall(data) for place, data in pace.parcels(range(4, 24), containers, 1)}
    assert sorted(number for numbers in at_once.values() for number in numbers) == [
        b"%07d" % number for number in range(4, 24)
    ]
    for number in range(4, 24):
        [(place, data)] = pace.parcels(range(number, number + 1), containers, 1)
        assert NUMBER.findall(data)[0] in at_once[place]
