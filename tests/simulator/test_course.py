"""What faults do to one stream's records and bytes."""

import pytest

from agent.simulator.copier import STDOUT, SYSTEM_ERROR, Piece
from agent.simulator.course import Course, Cut, CutEvery, Hang, Repeat, ReportError, Skip, StreamEffect


def nothing() -> None:
    """Wake nobody."""


def course(*effects: StreamEffect, follow: bool = True) -> Course:
    """A stream that met these."""
    one = Course(nothing, follow=follow)
    for effect in effects:
        one.meet(effect)
    return one


def shaped(one: Course, *blocks: range) -> list[int]:
    """Send records numbered like this, in these blocks; -1 is an error of the daemon."""
    sent = [p for block in blocks for p in one.shape([Piece(STDOUT, n, b"%d\n" % n) for n in block])]
    return [-1 if piece.stream == SYSTEM_ERROR else piece.at for piece in sent]


@pytest.mark.parametrize("blocks", [[range(8)], [range(3), range(3, 8)], [range(n, n + 1) for n in range(8)]])
@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (Hang(after=3), [0, 1, 2]),
        (Hang(after=0), []),
        (Repeat(records=2, after=4), [0, 1, 2, 3, 2, 3, 4, 5, 6, 7]),
        (Repeat(records=9, after=2), [0, 1, 0, 1, 2, 3, 4, 5, 6, 7]),
        (Skip(records=3, after=2), [0, 1, 5, 6, 7]),
        (ReportError("EOF", after=2, go_on=True), [0, 1, -1, 2, 3, 4, 5, 6, 7]),
        (ReportError("EOF", after=2, go_on=False), [0, 1, -1]),
    ],
)
def test_a_fault_befalls_the_same_records_however_they_come(
    effect: StreamEffect, expected: list[int], blocks: list[range]
) -> None:
    """Counted in records, not in reads."""
    assert shaped(course(effect), *blocks) == expected


def test_faults_follow_one_another() -> None:
    """Each at its own count of records sent."""
    assert shaped(course(Skip(1, after=1), Repeat(2, after=3), Hang(after=4)), range(8)) == [0, 2, 3, 2, 3, 4]


def test_what_is_due_at_once_needs_no_record() -> None:
    """An error may come in a silent stream."""
    one = course(ReportError("disk gone", after=0, go_on=False))
    assert one.shape([]) == [Piece(SYSTEM_ERROR, 0, b"Error grabbing logs: disk gone\n")]
    assert one.over
    assert one.shape([Piece(STDOUT, 1, b"late\n")]) == []


def test_only_follows_hang_repeat_and_skip() -> None:
    """A read of what is there has no rotation to miss."""
    for effect in (Hang(0), Repeat(1, 1), Skip(1, 0)):
        assert not course(follow=False).meet(effect)
    assert course(follow=False).meet(ReportError("EOF", 0, go_on=False))


def test_bytes_are_clipped_at_the_cut_wherever_it_is() -> None:
    """And one cut is enough."""
    one = course(Cut(5, reset=True))
    assert not one.meet(Cut(1, reset=False))
    assert one.clip(b"abc") == b"abc"
    assert one.clip(b"def") == b"de"
    assert one.cut == Cut(0, reset=True)
    assert one.clip(b"ghi") == b""


def test_a_stream_without_faults_is_left_alone() -> None:
    """Time limits are kept for whoever has the clock."""
    limit = CutEvery(1.0, idle_only=True, reset=True)
    one = course(limit)
    assert not one.changes_records
    assert one.clip(b"abc") == b"abc"
    assert one.timeouts == [limit]
