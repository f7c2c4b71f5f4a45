"""Promises of agent/sinks/pace.py."""

from __future__ import annotations

import pytest

from agent.sinks.pace import Pace

LONGEST = Pace(uniform=lambda _, most: most)
SHORTEST = Pace(uniform=lambda least, _: least)


def test_retries_wait_twice_as_long_each_time_up_to_half_a_minute() -> None:
    """From a quarter of a second; with full jitter any of them may be 0."""
    assert [LONGEST.retry(attempt) for attempt in range(1, 10)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert SHORTEST.retry(9) == 0


def test_probes_wait_up_to_a_minute_and_never_less_than_half_as_long() -> None:
    """Probing costs the receiver something, and nobody mends a password within a second."""
    assert [LONGEST.hold(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [SHORTEST.hold(attempt) for attempt in (1, 8)] == [0.5, 30]


@pytest.mark.parametrize(("after", "wait"), [(0.1, 30), (45.0, 45), (601.0, 600)])
def test_the_longer_of_jitter_and_what_the_receiver_asked_counts(after: float, wait: float) -> None:
    """Up to ten minutes."""
    assert LONGEST.retry(9, after) == wait


def test_the_thousandth_failure_is_like_the_tenth() -> None:
    """Doubling has an end."""
    assert LONGEST.retry(5_000) == 30
