"""What was taken live is found again in the log: by counting from the mark, or, where that is gone, by its text."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.batch import NS
from agent.source.cursor import Cursor, Mark, Place, Places, digest
from agent.source.heard import Recent, Recount
from agent.source.lines import Records
from agent.source.seam import LAG_NS
from agent.source.stream import OpenStream
from tests.source.engine_file import SHAPE, File, Piece
from tests.source.histories import NOON

LAW = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MS = NS // 1000
STREAMS = (1, 2)


@dataclass(slots=True)
class Killed:
    """An agent that was killed: what the log has now, and what of it was taken.

    pieces   all that was written, in the order of the file
    taken    how many lines of each stream were taken
    rotated  how many pieces the file has no longer
    """

    pieces: list[Piece] = field(repr=False)
    taken: dict[int, int]
    cursor: Cursor
    rotated: int = 0
    recent: Recent = field(default_factory=Recent, repr=False)

    @property
    def file(self) -> File:
        return File(self.pieces, visible=len(self.pieces), rotated=self.rotated)

    def took(self, row: int) -> bool:
        stream = self.pieces[row].stream
        return sum(piece.stream == stream for piece in self.pieces[: row + 1]) <= self.taken[stream]

    @property
    def new(self) -> dict[int, list[bytes]]:
        """What was not taken, and is still there."""
        new: dict[int, list[bytes]] = {stream: [] for stream in STREAMS}
        for row, piece in enumerate(self.pieces):
            if row >= self.rotated and not self.took(row):
                new[piece.stream].append(piece.payload[:-1])
        return new

    def recount(self) -> Recount:
        """What a new beginning finds out."""
        recount = Recount(Cursor.from_bytes(self.cursor.to_bytes()))
        answer = self.file.answer(since=self.cursor.newest_ns)
        for row in range(0, len(answer), 7):
            recount.feed(_records(answer[row : row + 7]))
        return recount

    def read(self, cursor: Cursor) -> dict[int, list[bytes]]:
        """What comes behind this cursor."""
        stream = OpenStream(SHAPE, Place(cursor), repeats=None, jumps=None)
        answer = b"".join(piece.frame for piece in self.file.answer(since=cursor.newest_ns))
        records = stream.feed(answer, 0).records
        if not stream.search.found:
            records = stream.settle(0, present=False).records
        return {
            of: [m for s, m in zip(records.streams, records.messages, strict=True) if s == of]
            for of in STREAMS
        }


def _records(pieces: list[Piece], lag: int = 0) -> Records:
    return Records(
        [piece.stream for piece in pieces],
        [piece.at + lag for piece in pieces],
        [b""] * len(pieces),
        [piece.payload[:-1] for piece in pieces],
    )


def killed(
    chance: random.Random, most: int, alphabet: list[bytes] | None, *, at_once: bool = False
) -> Killed:
    """Up to `before` all was taken from the log; then live, of each stream so much; the mark moved on, or not.

    at_once  of both streams what was written up to one moment, as nearly as the connection brings it
    """
    pieces, now, newest = [], NOON, 0
    for number in range(chance.randint(1, most)):
        now += chance.choice((0, 1, MS, 300 * MS))
        stream = chance.choice((1, 1, 2))
        text = chance.choice(alphabet) if alphabet else b"line %d" % number
        newest = max(
            newest, now - chance.choice((0, MS))
        )  # of stderr, whose times stand in the file a little late
        pieces.append(Piece(stream, newest if stream == 2 else now, text + b"\n"))
    before = chance.randrange(len(pieces))
    ends = {
        stream: chance.randint(before, len(pieces)) for stream in STREAMS
    }  # taken of it: up to this piece
    if at_once:
        moment = chance.choice(pieces[before:]).at
        for of in STREAMS:
            until = moment + chance.randrange(LAG_NS)
            ends[of] = max(
                [before, *(row + 1 for row, p in enumerate(pieces) if p.stream == of and p.at <= until)]
            )
    ends[pieces[before].stream] = max(ends[pieces[before].stream], before + 1)
    marked = chance.choice((before, chance.randint(before, min(ends.values()))))
    taken = {s: sum(piece.stream == s for piece in pieces[: ends[s]]) for s in STREAMS}
    places = Places()
    numbered = [places.next(piece.stream, piece.at) for piece in pieces]
    mark = None
    if marked:
        last = pieces[marked - 1]
        mark = Mark(last.stream, last.at, numbered[marked - 1], digest(last.payload[:-1]))
    out, err = (sum(piece.stream == s for piece in pieces[marked : ends[s]]) for s in STREAMS)
    recent, heard = Recent(), None
    live = [piece for row, piece in enumerate(pieces) if before <= row < ends[piece.stream]]
    received = 0
    while live:
        size = chance.choice((1, 2, 30))
        received = max(received + size, *(piece.at + chance.randrange(LAG_NS) for piece in live[:size]))
        heard = recent.add(_records(live[:size], received - live[:size][-1].at))
        del live[:size]
    return Killed(pieces, taken, Cursor(0, mark, (out, err), heard=heard), recent=recent)


@LAW
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_counted_from_the_mark_equal_lines_are_told_apart(seed: int, most: int) -> None:
    """The log has every line since: each that was not taken comes, and no other."""
    chance = random.Random(seed)
    agent = killed(chance, most, chance.choice(([b"tick"], [b"a", b"b"], None)))
    recount = agent.recount()
    assert recount.cursor.heard is None
    assert agent.read(recount.cursor) == agent.new
    assert not recount.lost


@LAW
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_where_the_mark_was_rotated_away_the_last_lines_are_found(seed: int, most: int) -> None:
    """By their text: what is still there comes, and nothing twice; a loss is told if no line is left that was."""
    chance = random.Random(seed)
    agent = killed(chance, most, None)
    agent.rotated = chance.randint(0, len(agent.pieces))
    recount = agent.recount()
    assert agent.read(recount.cursor) == agent.new
    left = agent.pieces[agent.rotated :]
    known = {s: len([1 for piece in left if piece.stream == s]) - len(agent.new[s]) for s in STREAMS}
    assert recount.lost == (bool(left) and not any(known.values()))


@LAW
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_lines_that_the_log_lacks_are_not_made_up_for(seed: int, most: int) -> None:
    """Some that were taken never came into the log: what was not taken comes all the same, once."""
    chance = random.Random(seed)
    agent = killed(chance, most, None)
    wanted = agent.new
    number = dict.fromkeys(STREAMS, 0)
    for piece in list(agent.pieces):
        number[piece.stream] += 1
        mark = agent.cursor.mark
        is_mark = mark is not None and (piece.stream, piece.at) == (mark.stream, mark.stamp)
        if number[piece.stream] <= agent.taken[piece.stream] - 4 and not is_mark and chance.random() < 0.2:
            agent.pieces.remove(piece)
    assert agent.read(agent.recount().cursor) == wanted


def anchored(chance: random.Random, most: int, alphabet: list[bytes] | None) -> tuple[Killed, Cursor | None]:
    """The mark is to be moved on: the log was read a little before all that was taken had come."""
    agent = killed(chance, most, alphabet, at_once=True)
    missed = [row for row in range(len(agent.pieces)) if not agent.took(row)]
    read = max(min([len(agent.pieces), *missed]) - chance.choice((0, 0, 0, 1, 2)), 0)
    began = min([piece.at for piece in agent.pieces[read:]] or [agent.pieces[-1].at]) + chance.randrange(
        LAG_NS
    )
    tail = agent.pieces[:read][-chance.choice((4, 16, 64)) :]
    return agent, agent.recent.anchor(_records(tail), agent.cursor, began)


@LAW
@given(st.integers(0, 2**32), st.integers(1, 100))
def test_a_mark_moved_on_says_the_same_place(seed: int, most: int) -> None:
    """Behind it comes what was not taken, and nothing else."""
    chance = random.Random(seed)
    agent, cursor = anchored(chance, most, chance.choice(([b"tick"], [b"a", b"b"], [b"a", b"b", b"c"], None)))
    if cursor is not None:
        assert agent.read(cursor) == agent.new
        assert cursor.heard == agent.cursor.heard


def taken_live(pieces: list[Piece], at_a_time: int) -> tuple[Recent, Cursor]:
    recent, heard = Recent(), None
    recent.all = True
    for row in range(0, len(pieces), at_a_time):
        heard = recent.add(_records(pieces[row : row + at_a_time]))
    count = [sum(piece.stream == stream for piece in pieces) for stream in STREAMS]
    return recent, Cursor(beyond=(count[0], count[1]), heard=heard)


def test_a_mark_is_moved_on_to_the_newest_line_of_the_log() -> None:
    """Where all differ. What came since stands behind it."""
    written = [
        Piece(1 + (number % 5 == 0), NOON + number * MS, b"line %d\n" % number) for number in range(3000)
    ]
    recent, before = taken_live(written, 10)
    cursor = recent.anchor(_records(written[2826:2890]), before, NOON + 2900 * MS)
    assert cursor is not None
    assert cursor.mark == Mark(1, written[2889].at, 0, digest(b"line 2889"))
    assert cursor.beyond == (88, 22)


def test_a_mark_is_not_moved_where_lines_are_all_the_same() -> None:
    """But where it has been quiet since."""
    written = [Piece(1, NOON + number * MS, b"tick\n") for number in range(100)]
    recent, before = taken_live(written, 1)
    assert recent.anchor(_records(written[-64:]), before, NOON + 100 * MS) is None
    cursor = recent.anchor(_records(written[-64:]), before, NOON + NS)
    assert cursor is not None
    assert (cursor.mark, cursor.beyond) == (Mark(1, written[-1].at, 0, digest(b"tick")), (0, 0))


def test_a_line_just_received_proves_nothing() -> None:
    """The log may have one like it from before, and not yet this one."""
    written = [Piece(1, NOON - NS, b"before\n"), Piece(1, NOON, b"once\n")]
    recent, before = taken_live(written[1:], 1)
    assert recent.anchor(_records(written), before, NOON + LAG_NS - 1) is None


def test_a_pause_of_one_stream_keeps_no_mark_back() -> None:
    """Nothing of it is among the log's newest, and what was taken of it is long before them."""
    written = [Piece(2, NOON - 9 * NS, b"warning\n")]
    written += [Piece(1, NOON + number * MS, b"line %d\n" % number) for number in range(300)]
    recent, before = taken_live(written, 10)
    cursor = recent.anchor(_records(written[-64:]), before, NOON + NS)
    assert cursor is not None
    assert cursor.beyond == (0, 0)
