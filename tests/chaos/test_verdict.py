"""The books of a storm: what is missing, doubled, invented or out of order is found, and what was reported is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.batch import NS
from tests.chaos.accounts import Book, Line, Loss, losses
from tests.chaos.verdict import Past, Verdict, judged
from tests.chaos.witness import Logged

NOON = 1_790_000_000 * NS
LONG = "c1.1.o 7 20009 - " + "0" * 20_000 + "/c1.1.o/7"


def line(number: int) -> str:
    return LONG if number == 7 else f"c1.1.o {number} 3 - 000"


PAST = Past("c1", [Logged(line(n), NOON + n) for n in range(1, 11)], {"c1.1.o": 10}, False, False, False)


def book(*numbers: int, once: bool = True) -> Book:
    made = Book("file", once)
    for number in numbers:
        made.take(line(number), NOON + number)
    return made


def told(verdict: Verdict) -> str:
    return "; ".join(verdict.wrong)


def test_all_that_was_written_and_nothing_else_is_well() -> None:
    """Long lines, too."""
    verdict = judged([PAST], [book(*range(1, 11))], [], {})
    assert (verdict.wrong, verdict.lines, verdict.logged) == ([], 10, 10)


@pytest.mark.parametrize(
    "reported",
    [
        [],
        [Loss("c1", "", "rotated_away", NOON + 20_000_000, NOON + NS)],
        [Loss("c1", "tcp", "rotated_away", NOON, NOON + NS)],
        [Loss("c11", "", "rotated_away", NOON, NOON + NS)],
    ],
    ids=["none", "of another time", "for another sink", "of another container"],
)
def test_a_line_that_is_missing_without_a_report_that_covers_it_is_wrong(reported: list[Loss]) -> None:
    """Which, is said."""
    verdict = judged([PAST], [book(1, 2, 3, 6, 7, 8, 9, 10)], reported, {})
    assert "2 lines of c1 missing and not reported: c1.1.o 4-5" in told(verdict)


def test_a_line_that_is_missing_is_entered_by_its_cause() -> None:
    """A report, a dead letter, an Engine that was killed, a removal that nobody could see."""
    some = book(*range(1, 10))
    cases = {
        "rotated_away": (PAST, [Loss("c1", "", "rotated_away", NOON, NOON + NS)], {}),
        "dead letter": (PAST, [], {"file": {Line("c1.1.o", 10)}}),
        "lost by the Engine itself": (replace(PAST, logged=PAST.logged[:9], shaken=True), [], {}),
        "removed while nobody could read": (replace(PAST, unseen=True), [], {}),
    }
    for cause, (past, reported, refused) in cases.items():
        verdict = judged([past], [some], reported, refused)
        assert (verdict.wrong, verdict.causes) == ([], {"file": {cause: 1}})


def test_the_engine_is_not_blamed_for_what_it_had_logged() -> None:
    """Nor when nobody had shaken it."""
    some = book(*range(1, 10))
    assert judged([replace(PAST, shaken=True)], [some], [], {}).wrong
    assert judged([replace(PAST, logged=PAST.logged[:9])], [some], [], {}).wrong


def test_a_repeat_counts_where_each_is_to_come_once() -> None:
    """Elsewhere it is no fault, nor what could not be committed and was read live."""
    again = (*range(1, 11), 4)
    assert "1 repeats, of ['c1.1.o']" in told(judged([PAST], [book(*again)], [], {}))
    assert not judged([PAST], [book(*again, once=False)], [], {}).wrong
    assert not judged([replace(PAST, live=True, uncommitted=True)], [book(*again)], [], {}).wrong
    assert judged([replace(PAST, uncommitted=True)], [book(*again)], [], {}).wrong


def test_first_occurrences_are_in_order() -> None:
    """What comes again may come anywhere."""
    verdict = judged([PAST], [book(1, 2, 4, 3, *range(5, 11))], [], {})
    assert "1 out of order: ['c1.1.o 3 after 4']" in told(verdict)


def test_what_nobody_wrote_is_wrong_unless_the_engine_had_it_so() -> None:
    """A cut line, and the last piece of one whose first piece was rotated away."""
    torn = "c1.1.o 11 30 - 00"
    whole = book(*range(1, 11))
    whole.take(torn, NOON)
    assert "1 records that nobody wrote" in told(judged([PAST], [whole], [], {}))
    assert not judged([replace(PAST, logged=[*PAST.logged, Logged(torn, NOON)])], [whole], [], {}).wrong
    assert not judged([replace(PAST, shaken=True)], [whole], [], {}).wrong
    reported = [Loss("c1", "", "rotated_away", NOON, NOON + NS)]
    for numbers, wrong in (((*range(1, 7), 8, 9, 10), False), (range(1, 11), True)):
        some = book(*numbers)
        some.take(LONG[-3000:], NOON)
        assert bool(judged([PAST], [some], reported, {}).wrong) == wrong


def test_losses_are_read_from_the_log() -> None:
    """With the container's first name, and the sink if it is for one."""
    said = (
        "20:46:24 WARN  losses: lost about 1,230 records of container c1-77 for sink tcp between "
        "2026-11-23T20:46:06.822532125Z and 2026-11-23T20:46:07.000000000Z: spool_full (why)\n"
    )
    [found] = losses(said)
    assert (found.who, found.sink, found.cause) == ("c1", "tcp", "spool_full")
    assert found.last_ns - found.first_ns == 177_467_875
