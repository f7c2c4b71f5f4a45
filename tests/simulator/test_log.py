"""Reading a log back: windows, followers, rotation, damage."""

from collections.abc import Callable

import pytest

from agent.simulator.copier import STDOUT, Piece
from agent.simulator.log import Log, LogReader, Window


def piece(at: int) -> Piece:
    """A record that says when it was written."""
    return Piece(STDOUT, at, b"%d\n" % at)


def a_log(*times: int) -> Log:
    """A log with records of these times."""
    log = Log()
    log.extend(map(piece, times))
    return log


def times(reader: LogReader) -> list[int]:
    """Read what there is to read now."""
    taken: list[int] = []
    while not reader.exhausted:
        taken += [p.at for p in reader.take(2)]
    return taken


def nothing() -> None:
    """Wake nobody."""


def read(
    log: Log,
    *,
    since: int = 0,
    until: int = 0,
    tail: int = -1,
    follow: bool = False,
    wake: Callable[[], None] = nothing,
) -> LogReader:
    """Open a reader."""
    return log.open(Window(since, until, tail), follow=follow, wake=wake)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(), [1, 2, 3, 4, 5]),
        (Window(since=3), [3, 4, 5]),
        (Window(since=6), []),
        (Window(until=3), [1, 2, 3]),
        (Window(since=2, until=4), [2, 3, 4]),
        (Window(tail=2), [4, 5]),
        (Window(tail=0), []),
        (Window(tail=9), [1, 2, 3, 4, 5]),
        (Window(tail=2, since=2), [4, 5]),
        (Window(tail=4, since=4), [4, 5]),
    ],
)
def test_a_window_is_inclusive_and_tail_comes_before_since(window: Window, expected: list[int]) -> None:
    """Times in one nanosecond."""
    log = a_log(1, 2, 3, 4, 5)
    assert times(log.open(window, follow=False, wake=nothing)) == expected


def test_since_stops_testing_at_the_first_record_kept() -> None:
    """Engine 24 and later: what is older behind it comes all the same."""
    assert times(read(a_log(1, 5, 2, 6), since=4)) == [5, 2, 6]


def test_since_tests_every_record_of_an_old_engine() -> None:
    """Engine 23 and before: what is older behind vanishes."""
    log = a_log(1, 5, 2, 6)
    assert times(log.open(Window(since=4, since_tests_every_record=True), follow=False, wake=nothing)) == [
        5,
        6,
    ]


def test_until_ends_the_read_at_the_first_later_record() -> None:
    """What is earlier behind it does not come."""
    reader = read(a_log(1, 5, 2), until=4, follow=True)
    assert times(reader) == [1]
    assert reader.finished


def test_a_follower_is_woken_gets_what_comes_and_ends_with_the_container() -> None:
    """And gets nothing of the next run."""
    log, woken = a_log(1), list[int]()
    reader = read(log, follow=True, wake=lambda: woken.append(len(log)))
    assert times(reader) == [1]
    assert not reader.finished
    log.extend([piece(2)])
    assert woken == [2]
    log.close_followers()
    assert not reader.finished
    log.extend([piece(3)])
    assert times(reader) == [2]
    assert reader.finished


def test_a_reader_that_does_not_follow_reads_what_was_there() -> None:
    """Not what comes while it reads."""
    log = a_log(1, 2)
    reader = read(log)
    log.extend([piece(3)])
    assert times(reader) == [1, 2]
    assert reader.finished


def test_rotation_is_lost_on_new_readers_only() -> None:
    """Whoever has the file open reads it to its end."""
    log = a_log(1, 2, 3, 4)
    late, early, done = read(log, follow=True), read(log), read(log, follow=True)
    assert [p.at for p in late.take(1)] == [1]
    assert times(done) == [1, 2, 3, 4]
    log.truncate(1)
    log.extend([piece(5)])
    assert times(late) == [2, 3, 4, 5]
    assert times(early) == [1, 2, 3, 4]
    assert times(done) == [5]
    assert times(read(log)) == [4, 5]
    assert len(log) == 2


def test_rotation_while_a_bounded_reader_is_behind_gives_it_no_more_than_its_own() -> None:
    """Its end was fixed when it was opened."""
    log = a_log(1, 2)
    reader = read(log)
    log.extend([piece(3)])
    log.truncate(0)
    assert times(reader) == [1, 2]
    assert reader.finished


def test_damage_hides_records_from_whoever_begins_in_front_of_it() -> None:
    """And a follower gets what comes live."""
    log = a_log(1, 2)
    log.damage()
    log.extend([piece(3), piece(4)])
    assert times(read(log)) == [1, 2]
    assert times(read(log, since=3)) == []
    assert times(read(log, tail=1)) == [4]
    assert times(read(log, tail=2)) == [3, 4]
    assert times(read(log, tail=3)) == [2]
    follower = read(log, follow=True)
    log.extend([piece(5)])
    assert times(follower) == [1, 2, 5]


def test_a_closed_reader_is_forgotten() -> None:
    """Nobody wakes it."""
    log, woken = a_log(), list[bool]()
    reader = read(log, follow=True, wake=lambda: woken.append(True))
    reader.close()
    log.extend([piece(1)])
    assert woken == []
