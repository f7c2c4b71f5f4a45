"""The seam: log and live output joined give every line once, in order, whenever we attach and however each lags."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.batch import NS, rfc3339
from agent.source.frames import PIECE_BYTES
from agent.source.lines import Records
from agent.source.live import LiveLines
from agent.source.seam import LAG_NS, Seam, likeness
from agent.source.splice import Splice
from tests.source.histories import NOON

MS = NS // 1000
LAW = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = [b"x" * 40_000, b"y" * 15_000 + b"\xff" * 5000, b"x"]
LETTERS = [b"%c" % (97 + number) for number in range(12)]
ALPHABETS = ([b"tick"], [b"a", b"b"], [b"a", b"", b"ba", b"\xff\xc3"], LONG, LETTERS, None)
#: Of one host, and of two.
SLACKS_NS = (NS // 200, 5 * NS // 2)


@dataclass(frozen=True, slots=True)
class Write:
    """What a process wrote in one go."""

    at: int
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Course:
    """What a container wrote, how late each side has it, and when we attached.

    asked, begun, attached  when attaching was asked for, when what is written begins to come, when that is certain
    ahead                   the Engine's clock before the one that stamps what is received
    set_back                when both clocks are set back by an hour
    """

    writes: list[Write] = field(repr=False)
    asked: int
    begun: int
    attached: int
    slack: int
    ahead: int
    set_back: int | None = None


def course_of(
    chance: random.Random, most: int, alphabets: Sequence[list[bytes] | None] = ALPHABETS
) -> Course:
    """Runs of equal lines, periodic ones, bursts at one time, lines written in parts, pauses."""
    alphabet = chance.choice(alphabets)
    pauses = chance.choice(((0, 0, 1, MS), (0, MS, 20 * MS), (0, 70 * MS, 300 * MS), (0, MS, 3 * NS)))
    parts = chance.choice((0.0, 0.3))
    now, writes = NOON, list[Write]()
    for number in range(chance.randint(0, most)):
        stream = chance.choice((1, 1, 1, 2))
        line, times = chance.choice(alphabet or [b""]), range(chance.choice((1, 1, 1, 2, 30)))
        burst = b"".join((line if alphabet else b"line %d of %d" % (copy, number)) + b"\n" for copy in times)
        cut = chance.randrange(len(burst)) if chance.random() < parts else 0
        for data in (burst[:cut], burst[cut:]):
            now += chance.choice(pauses)
            writes += [Write(now, stream, data)] if data else []
    asked = chance.choice([write.at for write in writes] or [now]) - chance.choice((0, 1, MS, 40 * MS))
    begun = asked + chance.choice((0, 1, MS, 20 * MS))
    slack = chance.choice(SLACKS_NS)
    ahead = chance.choice((-slack, 0, slack)) * 9 // 10
    attached = begun + chance.choice((0, 1, MS, 20 * MS))
    set_back = attached + chance.randrange(NS) if chance.random() < 0.1 else None
    return Course(writes, asked, begun, attached, slack, ahead, set_back)


@dataclass(slots=True)
class Model:
    """Both outputs of one course, each in the order in which it is to be had, with the time from which on it is."""

    course: Course
    chance: random.Random
    log: list[tuple[int, int, int, bytes]] = field(default_factory=list)  # visible, stamp, stream, line
    live: list[tuple[int, int, bytes]] = field(default_factory=list)  # received, stream, data
    lines: dict[int, list[bytes]] = field(default_factory=lambda: {1: [], 2: []})
    begun_live: dict[int, list[bytes]] = field(default_factory=lambda: {1: [], 2: []})

    def __post_init__(self) -> None:
        rest, full, visible = {1: b"", 2: b""}, {1: 0, 2: 0}, {1: 0, 2: 0}
        received, began = 0, {1: 0, 2: 0}
        for write in self.course.writes:
            began[write.stream] = began[write.stream] if rest[write.stream] else write.at
            *ended, rest[write.stream] = (rest[write.stream] + write.data).split(b"\n")
            for line in ended:
                visible[write.stream] = max(visible[write.stream], write.at + self._lag())
                stamp = full[write.stream] or self.chance.randint(write.at, visible[write.stream])
                stored = line.decode(errors="replace").encode()  # as json-file does
                stamp = self.clock(stamp) + self.course.ahead
                self.log.append((visible[write.stream], stamp, write.stream, stored))
                self.lines[write.stream].append(line)
                if began[write.stream] >= self.course.begun:
                    self.begun_live[write.stream].append(line)
                full[write.stream], began[write.stream] = 0, write.at
            if len(rest[write.stream]) >= PIECE_BYTES:
                full[write.stream] = full[write.stream] or write.at
            if write.at >= self.course.begun:
                received = max(received, write.at + self._lag())
                self.live.append((received, write.stream, write.data))
        self.log.sort(key=lambda row: row[0])

    def clock(self, at: int) -> int:
        """What the clocks say then."""
        stepped = self.course.set_back is not None and at >= self.course.set_back
        return at - 3600 * NS * stepped

    def _lag(self) -> int:
        return self.chance.choice((0, 0, 1, MS, self.chance.randrange(LAG_NS)))


class Reader:
    """What the attach reader does, without an Engine: reads the log when it is due, in chunks, while lines come.

    keeps  so many of its lines the log keeps; None: all
    told   whether something was said to have rotated away
    """

    def __init__(self, model: Model, keeps: int | None = None) -> None:
        course = model.course
        self.chance, self.model = model.chance, model
        self.now = course.attached
        self.log, self.live = model.log, model.live
        self.seam = Seam(course.asked, course.attached, slack_ns=course.slack)
        self.splice = Splice(self.seam)
        self.lines = LiveLines(tty=False, max_line_bytes=1 << 20)
        self.taken: dict[int, list[bytes]] = {1: [], 2: []}
        self.keeps, self.told, self.mark = keeps, False, -1
        approached = self.chance.choice((0, course.asked))
        for visible, _, stream, line in self.log:
            if visible < approached:
                self.taken[stream].append(line)
                self.mark += 1

    def run(self) -> None:
        """Until all is joined and has come."""
        until = max([self.now, *(row[0] for row in self.live)]) + 10 * NS
        while self.now < until:
            self.take(self.splice.sort(self.came(), self.clock()))
            due = self.splice.due_ns(self.clock())
            if due is not None and due <= self.clock():
                self.join()
            else:
                coming = [self.live[0][0]] if self.live else []
                self.now = min([*coming, until if due is None else self.now + due - self.clock()])

    def clock(self) -> int:
        return self.model.clock(self.now)

    def join(self) -> None:
        if self.splice.begin(self.clock()):
            self.read()
        self.take(self.splice.end(self.came(), self.clock()))

    def read(self) -> None:
        """Read the log behind what was taken, as far as it is written when it is opened."""
        self.pass_time()
        rows = self.behind([row for row in self.log if row[0] <= self.now])
        while rows:
            size = self.chance.choice((1, 3, 1000))
            chunk, rows = rows[:size], rows[size:]
            self.pass_time()
            open_streams, begun = self.seam.open, self.seam.begun
            records = Records(
                [stream for _, _, stream, _ in chunk],
                [stamp for _, stamp, _, _ in chunk],
                [rfc3339(stamp) for _, stamp, _, _ in chunk],
                [line for _, _, _, line in chunk],
            )
            self.take(records.take([row for row, of in enumerate(records.streams) if of in open_streams]))
            if not begun:
                self.mark = self.log.index(chunk[-1])
            self.seam.see(records)
            if self.splice.amid(self.came(), self.clock()):
                return

    def behind(self, written: list[tuple[int, int, int, bytes]]) -> list[tuple[int, int, int, bytes]]:
        """Those of these that are still there, and were not taken; as `History` and `Search` have it."""
        gone = len(written) - min(self.keeps, len(written)) if self.keeps is not None else 0
        if self.mark >= 0 and self.mark < gone:
            covered = self.seam.covered
            if self.seam.over or self.seam.overtaken(written[gone][1]):
                self.told |= not covered
                return []
            self.told = True
            return written[gone:]
        owed = {stream: len(lines) for stream, lines in self.taken.items()}
        for _, _, stream, _ in self.log[: self.mark + 1]:
            owed[stream] -= 1
        rows = []
        for row in written[max(gone, self.mark + 1) :]:
            if owed[row[2]] > 0:
                owed[row[2]] -= 1
            else:
                rows.append(row)
        return rows

    def pass_time(self) -> None:
        self.now += self.chance.choice((0, 0, 1000, MS, 5 * MS))

    def came(self) -> Records:
        """The lines received by now, each with the time at which it was."""
        records = Records()
        while self.live and self.live[0][0] <= self.now:
            at, stream, data = self.live.pop(0)
            frame = bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
            records.extend(self.lines.feed(frame, self.model.clock(at)))
        return records

    def take(self, records: Records) -> None:
        for stream, line in zip(records.streams, records.messages, strict=True):
            self.taken[stream].append(line)


@LAW
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_every_line_comes_once_and_in_order(seed: int, most: int) -> None:
    """From the log up to somewhere, live from there on."""
    chance = random.Random(seed)
    model = Model(course_of(chance, most), chance)
    reader = Reader(model)
    reader.run()
    assert {stream: list(map(likeness, lines)) for stream, lines in reader.taken.items()} == {
        stream: list(map(likeness, lines)) for stream, lines in model.lines.items()
    }


@LAW
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(10, 60))
def test_what_rotates_away_from_the_log_comes_live(seed: int, most: int, keeps: int) -> None:
    """Every line that was begun after we attached is there; if another is not, that is told."""
    chance = random.Random(seed)
    model = Model(replace(course_of(chance, most, [None]), set_back=None), chance)
    reader = Reader(model, keeps)
    reader.told = reader.mark < 0  # nothing is known of what was there before
    reader.run()
    for stream, lines in model.lines.items():
        assert set(model.begun_live[stream]) <= set(reader.taken[stream])
        assert reader.told or reader.seam.short or reader.taken[stream] == lines


def test_a_long_line_is_stamped_when_it_began() -> None:
    """So it is known in the log though that is long before we attached."""
    seam = Seam(NOON, NOON, slack_ns=MS)
    splice = Splice(seam)
    line = b"x" * 20_000
    assert len(splice.sort(records((NOON + MS, line[-5:])), NOON + MS)) == 0
    assert splice.begin(NOON + NS)
    seam.see(records((NOON - 9 * NS, line)))
    assert not splice.amid(Records(), NOON + NS)
    assert len(splice.end(Records(), NOON + NS)) == 0
    assert not splice.waits


def test_equal_lines_without_a_pause_are_not_waited_for_for_ever() -> None:
    """After some seconds they are joined where it fits best."""
    seam = Seam(NOON, NOON, slack_ns=MS)
    splice, now, logged, live = Splice(seam), NOON, 0, 0
    for number in range(1, 1000):
        now = NOON + number * 10 * MS
        live += len(splice.sort(records((now, b"tick")), now))
        due = splice.due_ns(now)
        if due is not None and due <= now:
            if splice.begin(now):
                seam.see(records(*[(now, b"tick")] * (number - logged)))
                logged = number
            live += len(splice.end(Records(), now))
    assert 1 not in seam.open
    assert live > 400
    assert abs(logged + live - 999) <= 5


def records(*lines: tuple[int, bytes]) -> Records:
    return Records([1] * len(lines), [at for at, _ in lines], [b""] * len(lines), [line for _, line in lines])
