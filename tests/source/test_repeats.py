"""What Engines before 23 send again when a file rotates is taken out, and nothing else."""

from __future__ import annotations

import random

import pytest

from agent.batch import NS
from agent.source.frames import PIECE_BYTES
from agent.source.lines import Records
from agent.source.repeats import Repeats

NOON = 1_790_000_000 * NS


def rows(first: int, last: int, *, stream: int = 1) -> Records:
    numbers = range(first, last)
    return Records(
        [stream] * len(numbers),
        [NOON + n for n in numbers],
        [b""] * len(numbers),
        [b"%d" % n for n in numbers],
    )


def passed(repeats: Repeats, records: Records) -> list[bytes]:
    """What is new, and is kept."""
    fresh = repeats.leave_out(records)
    repeats.remember(fresh)
    return fresh.messages


def test_one_record_or_a_whole_file_again_is_left_out() -> None:
    """In the same read or a later one."""
    repeats = Repeats(1 << 20)
    assert len(passed(repeats, rows(0, 500))) == 500
    assert passed(repeats, rows(499, 501)) == [b"500"]
    assert passed(repeats, rows(0, 501)) == []
    again = rows(501, 510)
    again.extend(rows(501, 511))
    assert passed(repeats, again) == [b"%d" % n for n in range(501, 511)]


@pytest.mark.parametrize("length", [PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES // 2])
@pytest.mark.parametrize("later", [True, False])
def test_the_last_pieces_of_a_long_line_again_are_left_out(length: int, *, later: bool) -> None:
    """The file rotated in the middle of it, and the new one was begun again: nobody wrote such a line."""
    line = b"x" * (length - 1) + b"y"
    repeats = Repeats(1 << 20)
    came = Records([1, 1], [NOON, NOON + 1], [b""] * 2, [line, b"behind"])
    again = Records([1, 1, 1], [NOON, NOON + 1, NOON + 2], [b""] * 3, [line[PIECE_BYTES:], b"behind", b"new"])
    if later:
        assert len(passed(repeats, came)) == 2
        assert passed(repeats, again) == [b"new"]
    else:
        came.extend(again)
        assert passed(repeats, came) == [line, b"behind", b"new"]


def test_the_streams_disorder_is_no_repeat() -> None:
    """Nor is a clock set back, nor an equal text at another time."""
    repeats = Repeats(1 << 20)
    passed(repeats, rows(100, 110))
    assert len(passed(repeats, rows(90, 110, stream=2))) == 20
    assert len(passed(repeats, rows(0, 100))) == 100
    assert passed(repeats, Records([1], [NOON + 105], [b""], [b"other"])) == [b"other"]


def test_what_was_not_kept_is_no_repeat() -> None:
    """It is sent again because we asked."""
    repeats = Repeats(1 << 20)
    assert len(repeats.leave_out(rows(0, 10))) == 10
    assert len(passed(repeats, rows(0, 10))) == 10


def test_it_remembers_two_files_and_no_more() -> None:
    """8 bytes a record."""
    repeats = Repeats(100_000)
    for block in range(100):
        passed(repeats, rows(block * 100, block * 100 + 100))
    assert repeats._size <= 2 * 100_000 + 100 * 70
    newest = rows(10_000 - 200_000 // 70 + 200, 10_000)
    assert passed(repeats, newest) == []


def test_of_any_repeats_every_record_comes_once() -> None:
    """Blocks of any size, at any place."""
    chance, repeats, got, sent = random.Random(3), Repeats(1 << 20), list[bytes](), 0
    while sent < 2000:
        size = chance.randint(1, 90)
        got += passed(repeats, rows(sent, sent + size))
        sent += size
        back = chance.randint(0, sent)
        got += passed(repeats, rows(back, min(sent, back + chance.randint(0, 300))))
    assert got == [b"%d" % n for n in range(sent)]
