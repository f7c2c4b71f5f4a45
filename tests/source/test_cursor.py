"""The cursor: every line once, in order, with the same id, whatever becomes of the streams and of us."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.batch import Batch, Stream
from agent.source.cursor import DISORDER_NS, HELD_BYTES, Cursor, Heard, Mark, Place, Places, Search, digest
from agent.source.lines import Records
from agent.source.stream import OpenStream
from tests.source.engine_file import SHAPE, WEB, File, Taken, between_lines, uncut
from tests.source.histories import NOON, History, histories

HEARD = Heard(((1, 2**32 - 1), ()), ((1,), (0,)), (NOON, 0))
#: Two lines of stdout, and when they were received.
ONCE = (Stream.STDOUT, [7, 9], [b"a", b"c"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["since", "mark", "beyond", "stream", "stamp", "heard", "last"]), inner
        )
    ),
)
LAW = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@dataclass(slots=True)
class Agent:
    """What the sans-I/O part is for: opens the file, is cut off, is killed, and goes on.

    `saved` is what a spool keeps: the cursor handed on with the last batches; all else may be forgotten.
    """

    file: File
    chance: random.Random
    saved: bytes = b""
    taken: Taken = field(default_factory=Taken)
    lost: list[tuple[int, int]] = field(default_factory=list)
    place: Place = field(default_factory=lambda: Place(Cursor()))

    def kill(self) -> None:
        self.place = Place(Cursor.from_bytes(self.saved) if self.saved else Cursor())

    @property
    def since(self) -> int:
        cursor = self.place.cursor
        return cursor.newest_ns - (DISORDER_NS if cursor.mark and not self.file.exact_since else 0)

    def read(self, *, tail: int | None = None, cut: float = 1.0) -> None:
        """Open a stream and read so much of it, in pieces of any size; it may go on growing meanwhile."""
        tail = tail if self.place.cursor.mark else None
        stream = OpenStream(SHAPE, self.place, repeats=None, jumps=None, partial=tail is not None)
        answer = self.file.answer(since=self.since, tail=tail)
        data = b"".join(piece.frame for piece in answer)
        data = data[: round(len(data) * cut)]
        while data:
            size = self.chance.choice((1, 9, 60, 300, 20_000, 100_000))
            step = stream.feed(data[:size], 0)
            data = data[size:]
            if stream.search.doubtful:
                self.hand_on(stream, self.settle(stream))
            self.hand_on(stream, step.records)
        if cut == 1.0 and tail is None and not stream.search.found:
            self.hand_on(stream, self.settle(stream))

    def settle(self, stream: OpenStream) -> Records:
        scan = OpenStream(SHAPE, Place(self.place.cursor), repeats=None, jumps=None)
        scan.settle(0, present=True)
        scan.feed(b"".join(piece.frame for piece in self.file.answer(since=self.since)), 0)
        if not scan.search.found and not stream.search.partial:
            mark_ns = self.place.cursor.newest_ns
            self.lost.append((mark_ns, stream.search.first_ns or mark_ns))
        return stream.settle(0, present=scan.search.found or stream.search.partial).records

    def hand_on(self, stream: OpenStream, records: Records) -> None:
        batches = self.place.take(records, WEB, open_streams=stream.open_streams, owed=stream.search.owed)
        if batches:
            self.taken.add(batches)
            self.saved = self.place.cursor.to_bytes()


def _expected(history: History) -> Taken:
    """The lines as they were written; the ids as one read without interruption gives them."""
    taken = uncut(history.pieces)
    for number, stream in ((1, Stream.STDOUT), (2, Stream.STDERR)):
        assert taken.lines[stream] == [text for of, text in history.lines if of == number]
        assert len(set(taken.ids[stream])) == len(taken.ids[stream])
    return taken


def _law(agent: Agent, history: History, rounds: int) -> None:
    pieces = history.pieces
    expected = _expected(history)
    chance, file = agent.chance, agent.file
    for _ in range(rounds):
        file.visible = chance.randint(file.visible, len(pieces))
        tail = chance.choice((None, None, 1, 3, 10, 1000))
        agent.read(tail=tail, cut=chance.choice((0.0, 0.3, 0.9, 1.0, chance.random())))
        if chance.random() < 0.5:
            agent.kill()
    file.visible = len(pieces)
    agent.read()
    assert agent.taken.lines == expected.lines
    assert agent.taken.ids == expected.ids
    assert agent.lost == []


@LAW
@given(histories(), st.integers(0, 2**32), st.integers(0, 12))
def test_every_line_comes_once_however_the_stream_is_cut_and_opened_anew(
    history: History, seed: int, rounds: int
) -> None:
    """In order by stream, with the ids of an uncut read; by time and from the end; killed at any moment."""
    _law(Agent(File(history.pieces), random.Random(seed)), history, rounds)


@LAW
@given(histories(clock_goes_back=False), st.integers(0, 2**32), st.integers(0, 12))
def test_so_it_does_on_engines_that_filter_every_record(history: History, seed: int, rounds: int) -> None:
    """Before 24 a read by time hides what a clock that was set back stamps; two streams' disorder it does not."""
    _law(Agent(File(history.pieces, exact_since=False), random.Random(seed)), history, rounds)


@LAW
@given(histories(plain=True), st.integers(0, 2**32), st.integers(1, 10))
def test_what_rotates_away_unread_is_reported_and_nothing_else_is_lost_or_repeated(
    history: History, seed: int, rounds: int
) -> None:
    """The range of the report has the times of the lines that are missing."""
    pieces = history.pieces
    chance, file = random.Random(seed), File(pieces)
    agent = Agent(file, chance)
    for _ in range(rounds):
        file.visible = chance.randint(file.visible, len(pieces))
        agent.read(tail=chance.choice((None, 3, 1000)), cut=chance.choice((0.5, 1.0)))
        if chance.random() < 0.5:
            agent.kill()
        if agent.place.cursor.mark and agent.place.cursor.beyond == (0, 0):
            cuts = [cut for cut in between_lines(pieces) if file.rotated <= cut <= file.visible]
            file.rotated = chance.choice([file.rotated, file.rotated, *cuts])
    file.visible = len(pieces)
    agent.read()
    whole, kept = uncut(pieces), uncut(pieces[file.rotated :])
    for stream, written in whole.lines.items():
        came = agent.taken.lines[stream]
        assert came == [text for text in written if text in set(came)]
        for text, stamp in zip(written, whole.stamps[stream], strict=True):
            reported = any(first - DISORDER_NS <= stamp <= last + DISORDER_NS for first, last in agent.lost)
            assert text in came or reported or not len(kept)


class TestSearch:
    """What the laws above would need luck to meet."""

    def test_among_equal_lines_of_one_time_the_mark_is_not_guessed_from_the_end(self) -> None:
        """Where three equal lines stand and the answer begins with the second, the first would be missed."""
        cursor = Cursor(mark=Mark(1, NOON, 1, digest(b"a")))
        search = Search(cursor, Place(cursor), partial=True)
        rows = Records([1, 1], [NOON, NOON], [b"", b""], [b"a", b"a"])
        assert len(search.feed(rows)) == 0
        assert (search.unsure, search.found) == (True, False)

    def test_by_time_it_is_the_one_at_its_place(self) -> None:
        """Equal text and time do not do."""
        cursor = Cursor(mark=Mark(1, NOON, 1, digest(b"a")))
        search = Search(cursor, Place(cursor))
        rows = Records([1, 1, 1], [NOON] * 3, [b"1", b"2", b"3"], [b"a"] * 3)
        assert search.feed(rows).times == [b"3"]

    def test_a_mark_of_another_text_is_none(self) -> None:
        """The file was made anew."""
        cursor = Cursor(mark=Mark(1, NOON, 0, digest(b"a")))
        search = Search(cursor, Place(cursor))
        assert len(search.feed(Records([1], [NOON], [b""], [b"b"]))) == 0
        assert search.settle(present=False).messages == [b"b"]

    def test_it_doubts_once_the_mark_is_late(self) -> None:
        """Not before: streams stand a little out of order."""
        cursor = Cursor(mark=Mark(1, NOON, 0, digest(b"a")))
        search = Search(cursor, Place(cursor))
        doubts = []
        for late in (DISORDER_NS, DISORDER_NS + 1):
            search.feed(Records([2], [NOON + late], [b""], [b"b"]))
            doubts.append(search.doubtful)
        assert doubts == [False, True]
        assert search.first_ns == NOON + DISORDER_NS

    def test_what_it_holds_is_bounded(self) -> None:
        """A long history before the mark does not fill the memory: it asks, and lets go."""
        cursor = Cursor(mark=Mark(1, NOON, 0, digest(b"a")))
        search = Search(cursor, Place(cursor))
        doubts = []
        for _ in range(3):
            search.feed(Records([2], [NOON], [b""], [bytes(HELD_BYTES + 1)]))
            doubts.append(search.doubtful)
            assert len(search.settle(present=True)) == 0
        assert doubts == [True, False, False]
        assert len(search._held) == 0


def test_while_a_line_has_not_ended_the_mark_waits_before_it() -> None:
    """And what comes meanwhile is counted instead."""
    place = Place(Cursor(since=5))
    rows = Records([2, 1, 2], [1, 2, 3], [b""] * 3, [b"x"] * 3)
    place.take(rows, WEB, open_streams=frozenset((1,)))
    assert place.cursor == Cursor(since=5, beyond=(1, 2))
    place.take(rows, WEB)
    assert place.cursor == Cursor(since=5, mark=Mark(2, 3, 0, digest(b"x")))


def test_nothing_new_leaves_the_cursor() -> None:
    """Not even while a line has begun."""
    place = Place(Cursor(since=5))
    assert place.take(Records(), WEB, open_streams=frozenset((1,))) == []
    assert place.cursor == Cursor(since=5)


@given(st.lists(st.integers(0, 3), min_size=1), st.integers(1, 5))
def test_places_are_the_same_however_the_lines_come(stamps: list[int], size: int) -> None:
    """Column by column or line by line."""
    one_by_one, columns = Places(), Places()
    expected = [one_by_one.next(1, stamp) for stamp in stamps]
    numbered: list[int] = []
    for start in range(0, len(stamps), size):
        part = stamps[start : start + size]
        numbered += columns.number(1, part) or [0] * len(part)
    assert numbered == expected
    assert columns.newest(1) == expected[-1]


def test_a_cursor_outlives_the_process() -> None:
    """As bytes, exactly."""
    for cursor in (
        Cursor(),
        Cursor(since=NOON + 1, beyond=(3, 0)),
        Cursor(mark=Mark(2, 2**63 - 1, 7, digest(b"\xff")), beyond=(0, 12)),
        Cursor(since=1, mark=Mark(1, 2, 0, digest(b"")), beyond=(5, 1), ended=True, heard=HEARD),
    ):
        assert Cursor.from_bytes(cursor.to_bytes()) == cursor


def test_a_cursor_of_an_agent_that_knew_no_attach_is_understood() -> None:
    """Its bytes have no `heard`."""
    for old in (
        b'{"since":5,"mark":null,"beyond":[1,2],"ended":true}',
        b'{"since":5,"mark":null,"beyond":[1,2],"ended":true,"heard":null}',
    ):
        assert Cursor.from_bytes(old) == Cursor(since=5, beyond=(1, 2), ended=True)


def test_what_is_received_live_is_counted_behind_the_mark() -> None:
    """Until something is taken from the log."""
    mark = Mark(1, 3, 0, digest(b"x"))
    place = Place(Cursor(mark=mark, ended=True))
    rows = Records([1, 2, 1], [7, 8, 9], [b"7", b"8", b"9"], [b"a", b"b", b"c"], {2})
    out, err = place.take_live(rows, WEB, HEARD)
    assert (out.messages, out.ids()) == ([b"a", b"c"], Batch(WEB, *ONCE).ids())
    assert out.truncated == {1}
    assert (err.stream, err.messages, err.times) == (Stream.STDERR, [b"b"], [b"8"])
    assert place.cursor == Cursor(mark=mark, beyond=(2, 1), heard=HEARD)
    place.take(Records([1], [4], [b""], [b"y"]), WEB)
    assert place.cursor == Cursor(mark=Mark(1, 4, 0, digest(b"y")))


@given(st.sampled_from(["since", "mark", "beyond", "heard", "last", "first", "stamps"]), JSON)
def test_a_cursor_with_anything_in_it_is_none(name: str, value: object) -> None:
    """Or one that can be saved again."""
    values = json.loads(Cursor(mark=Mark(1, 2, 0, "00"), heard=HEARD).to_bytes())
    (values if name in values else values["heard"])[name] = value
    _is_a_cursor_or_none(json.dumps(values).encode())


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_that_are_no_cursor_are_a_value_error(data: bytes) -> None:
    """Whatever they are: the caller then begins as with a new container."""
    _is_a_cursor_or_none(data)


def _is_a_cursor_or_none(data: bytes) -> None:
    try:
        cursor = Cursor.from_bytes(data)
    except ValueError:
        return
    assert Cursor.from_bytes(cursor.to_bytes()) == cursor
