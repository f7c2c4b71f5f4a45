"""Sequence numbers, against a partition that takes a producer's record sets as a broker does."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from agent.sinks.sequences import NOBODY, Name, Place, Producer, Sequences

PLACES = [Place("logs", 0), Place("logs", 1)]


def name(place: Place, start: int, count: int = 2) -> Name:
    return Name(place, b"%d" % start, b"%d" % (start + count - 1), count)


def begun() -> Sequences:
    made = Sequences()
    made.begin(Producer(7, 0))
    return made


def test_nobody_has_no_numbers() -> None:
    assert Sequences().assign([name(PLACES[0], 0)]) is None


def test_each_partition_is_counted_by_itself() -> None:
    first, second = PLACES
    assert begun().assign([name(first, 0), name(second, 2), name(first, 4), name(second, 6)]) == [0, 0, 2, 2]


def test_what_was_left_open_keeps_its_number() -> None:
    made, names = begun(), [name(PLACES[0], start) for start in (0, 2, 4)]
    assert made.assign(names) == [0, 2, 4]
    for each, number in zip(names[1:], (2, 4), strict=True):
        made.leave(Producer(7, 0), each, number)
    assert made.assign([*names[1:], name(PLACES[0], 6)]) == [2, 4, 6]


def test_a_gap_needs_another_producer() -> None:
    """Half of what was left open, or the same divided otherwise, or in another order."""
    names = [name(PLACES[0], 0), name(PLACES[0], 2)]
    for others in ([names[1]], [name(PLACES[0], 0, 4)], [names[1], names[0]], [name(PLACES[0], 6)]):
        made = begun()
        made.assign(names)
        for each, number in zip(names, (0, 2), strict=True):
            made.leave(Producer(7, 0), each, number)
        assert made.assign(others) is None
        assert made.producer == NOBODY


def test_a_gap_elsewhere_does_not() -> None:
    made = begun()
    made.assign([name(PLACES[0], 0)])
    made.leave(Producer(7, 0), name(PLACES[0], 0), 0)
    assert made.assign([name(PLACES[1], 2)]) == [0]
    assert made.assign([name(PLACES[0], 0)]) == [0]


def test_what_another_producer_left_is_forgotten() -> None:
    made = begun()
    made.assign([name(PLACES[0], 0)])
    made.begin(Producer(8, 0))
    made.leave(Producer(7, 0), name(PLACES[0], 0), 0)
    made.forget(Producer(7, 0))
    assert made.assign([name(PLACES[0], 2)]) == [0]
    made.forget(Producer(8, 0))
    assert made.assign([name(PLACES[0], 4)]) is None


@given(st.data())
def test_whatever_goes_wrong_each_set_is_stored_once_and_nothing_waits_for_a_gap(data: st.DataObject) -> None:
    """Sets are lost on the way, stored without our learning of it, given up; the broker never finds a gap."""
    made, next_id, producers = Sequences(), 0, 0
    stored: list[Name] = []
    log: defaultdict[tuple[Producer, Place], list[tuple[int, int]]] = defaultdict(list)
    waiting: list[Name] = []
    for _ in range(data.draw(st.integers(1, 12))):
        if not waiting or data.draw(st.booleans()):  # else the same again
            waiting = [
                name(place, next_id + 10 * place_in_request)
                for place_in_request, place in enumerate(
                    data.draw(st.lists(st.sampled_from(PLACES), max_size=4))
                )
            ]
            next_id += 100
        numbers = made.assign(waiting)
        if numbers is None:
            producers += 1
            made.begin(Producer(producers, 0))
            numbers = made.assign(waiting)
            assert numbers is not None
        unknown, stopped = [], set[Place]()
        for each, number in zip(waiting, numbers, strict=True):
            fate = data.draw(st.sampled_from(["stored", "lost", "unheard"]))
            known = log[made.producer, each.place]
            if fate != "lost" and each.place not in stopped and (number, each.count) not in known:
                assert number == (sum(known[-1]) if known else 0)
                known.append((number, each.count))
                stored.append(each)
            if fate != "stored" or each.place in stopped:
                stopped.add(each.place)
                unknown.append(each)
                made.leave(made.producer, each, number)
        waiting = unknown
    assert len(stored) == len(set(stored))
