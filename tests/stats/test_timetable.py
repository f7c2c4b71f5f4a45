"""Everybody's turn once an interval, spread over it."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agent.stats.timetable import Timetable

_RANDOM = Random(7)
IDS = [_RANDOM.randbytes(32).hex() for _ in range(300)]
ALIKE = [f"{number:064x}" for number in range(300)]


def turns(table: Timetable, begin: float, end: float) -> list[tuple[float, str]]:
    """Who is asked when, by somebody who waits as told."""
    found: list[tuple[float, str]] = []
    now = begin
    while now < end:
        while (container := table.take(now)) is not None:
            found.append((now, container))
        now += table.wait(now)
    return found


def test_each_has_one_turn_in_each_interval() -> None:
    """Ten intervals, three hundred containers, exact distances."""
    table = Timetable(15.0)
    for container in IDS:
        table.add(container, 100.0)
    found = turns(table, 100.0, 250.0)
    assert len(found) == 3000
    for container in IDS[:20]:
        times = [at for at, whose in found if whose == container]
        assert all(abs(later - earlier - 15.0) < 1e-6 for earlier, later in pairwise(times))


def test_turns_are_spread_over_the_interval() -> None:
    """No fifteenth of it has more than three times its share; ids that are alike are spread, too."""
    for ids in (IDS, ALIKE):
        table = Timetable(15.0)
        for container in ids:
            table.add(container, 0.0)
        found = turns(table, 0.0, 15.0)
        assert len(found) == 300
        busiest = max(sum(second <= at < second + 1 for at, _ in found) for second in range(15))
        assert busiest <= 60


def test_one_that_was_dropped_has_no_turn() -> None:
    """Nor one that was never there; added again it has one."""
    table = Timetable(10.0)
    table.add(IDS[0], 0.0)
    table.drop(IDS[0])
    table.drop(IDS[1])
    assert turns(table, 0.0, 30.0) == []
    table.add(IDS[0], 30.0)
    assert [whose for _, whose in turns(table, 30.0, 40.0)] == [IDS[0]]


def test_adding_twice_gives_no_second_turn() -> None:
    """Discovery may tell of a container again."""
    table = Timetable(10.0)
    table.add(IDS[0], 0.0)
    table.add(IDS[0], 1.0)
    assert len(turns(table, 0.0, 10.0)) == 1


def test_missed_turns_are_not_made_up_for() -> None:
    """After a stop of an hour each is asked once, in its place."""
    table = Timetable(10.0)
    for container in IDS:
        table.add(container, 0.0)
    assert len(turns(table, 3600.0, 3600.001)) == 300
    later = turns(table, 3600.001, 3610.001)
    assert len(later) == 300
    assert max(at for at, _ in later) > 3609


@given(st.lists(st.tuples(st.sampled_from(["add", "drop", "take"]), st.integers(0, 4)), max_size=60))
def test_it_holds_who_was_added_and_not_dropped(steps: list[tuple[str, int]]) -> None:
    """And its heap does not grow without bound."""
    table, now, there = Timetable(10.0), 0.0, set[str]()
    for step, number in steps:
        now += number
        if step == "add":
            table.add(IDS[number], now)
            there.add(IDS[number])
        elif step == "drop":
            table.drop(IDS[number])
            there.discard(IDS[number])
        else:
            while (taken := table.take(now)) is not None:
                assert taken in there
    assert {container for _, container in turns(table, now, now + 10.0)} == there
    assert 0 <= table.wait(now + 20.0) <= 10.0
