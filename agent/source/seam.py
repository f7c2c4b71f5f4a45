"""Where a container's live output begins in its log. Sans-I/O.

An attached client is sent everything from some moment on. What was written before stands in the log, and so does,
a little later, what is sent live. So the log is read from the cursor on, and taken, until it reaches into the live
output; from there on the live lines are taken, and those that the log gave already are left out. How many those
are is found stream by stream: the newest lines of the log must be the first lines of the live output.

Equal lines in a row make that ambiguous, and time narrows it down. A read of the log that began some time after a
line was received has that line, and one that ended has none that had not been received soon after. While there is
still more than one way, nothing is decided: the log is read again, until it is quiet for a moment, or different.

The first live line may be the tail of a line that began before, however long; so a silent stream stays open until
something comes of it. Both outputs are compared without what is not
ASCII, since some log drivers store U+FFFD for bytes that are not UTF-8, and cut at 16 KiB before they do.
"""

from __future__ import annotations

import contextlib
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from itertools import islice

from agent.batch import NS
from agent.source.frames import PIECE_BYTES, STDERR, STDOUT
from agent.source.lines import Records

#: The Engine's log has a line so soon after we received it, and the other way round.
LAG_NS = NS // 20
#: So long after its first line a stream is joined where it fits best.
PATIENCE_NS = 5 * NS
#: How many lines the log may be ahead of the live ones; how many of both are compared, and in all ways together.
_AHEAD, _DEPTH, _PAINS = 1 << 13, 512, 1 << 16
#: In the middle of a read, so many different lines in a row are proof.
_PROOF = 8
_COMPARED_BYTES = 64 << 10
_HIGH = bytes(range(0x80, 0x100))


def likeness(line: bytes) -> bytes:
    """What of a line is the same in the log and live."""
    return (line if line.isascii() else line.translate(None, _HIGH))[:_COMPARED_BYTES]


def fits(seen: Sequence[bytes], live: Sequence[bytes], within: range) -> Iterator[int]:
    """How many live lines the log may have given: the last one seen there is then the last of those.

    The log may be ahead of the live lines: then it is more than there are yet. Both by `likeness`. The first live
    line may be the tail of its line. What cannot be compared with reasonable pains is possible.
    """
    pains = _PAINS
    for count in _ends(seen, live, within):
        here, there = _shared(count, seen, live)
        depth = min(here, there, _DEPTH)
        whole = depth - (depth == here)  # all but the first live line
        pains -= whole
        if pains < 0 or (
            live[here - whole : here] == seen[there - whole : there]
            and (whole == depth or _same(seen[there - depth], live[0], first=True))
        ):
            yield count


def _shared(count: int, seen: Sized, live: Sized) -> tuple[int, int]:
    """If the log has given so many live lines: where the newest ends, here and there, that both have."""
    ahead = max(count - len(live), 0)
    return count - ahead, len(seen) - ahead


def _ends(seen: Sequence[bytes], live: Sequence[bytes], within: range) -> Iterator[int]:
    """How many it may be by the newest line alone that both have."""
    if not seen or not live:
        return
    if 1 in within and _same(seen[-1], live[0], first=True):
        yield 1
    yield from _places(live, seen[-1], range(max(within.start, 2), min(within.stop, len(live) + 1)), 1)
    backwards, more = (
        seen[::-1],
        range(max(within.start, len(live) + 1), min(within.stop, len(live) + len(seen))),
    )
    if len(live) > 1:
        yield from _places(backwards, live[-1], more, len(live))
    else:
        yield from (count for count in more if _same(backwards[count - 1], live[0], first=True))


def _places(lines: Sequence[bytes], wanted: bytes, counts: range, less: int) -> Iterator[int]:
    """The counts of these at which, so many less, there is such a line."""
    at = counts.start - less
    with contextlib.suppress(ValueError):  # there is none any more
        while True:
            at = lines.index(wanted, at, max(at, counts.stop - less))
            yield at + less
            at += 1


def _same(seen: bytes, live: bytes, *, first: bool) -> bool:
    return seen == live or (first and (seen.endswith(live) or len(seen) == _COMPARED_BYTES))


@dataclass(slots=True)
class _Side:
    """One stream: the log's newest lines without a gap, and all live ones with the time of their receipt."""

    seen: deque[bytes] = field(default_factory=lambda: deque(maxlen=_AHEAD + _DEPTH))
    seen_ns: int = 0
    count: int = 0  # of the lines seen
    live: list[bytes] = field(default_factory=list)
    received: array[int] = field(default_factory=lambda: array("q"))

    def ways(self, least: int, most: int | None) -> Iterator[int]:
        """How many live lines the log may have given, at least one, of so many."""
        seen = list(self.seen)
        stop = len(self.live) + len(seen) if most is None else most + 1
        return fits(seen, self.live, range(max(least, 1), stop))

    def only(self, least: int, most: int | None) -> int | None:
        """The one way to join them; None if there is none, or more than one."""
        found = list(islice(self.ways(least, most), 2))
        return found[0] if len(found) == 1 else None

    def proved(self, skip: int) -> bool:
        """Whether what both have, if they are joined so, is enough different lines."""
        here, there = _shared(skip, self.seen, self.live)
        return len(set(self.live[max(here - min(there, 4 * _PROOF), 0) : here])) >= _PROOF


class Seam:
    """Joins the log to the live output of one connection.

    asked_ns     when attaching was asked for: what the log stamped earlier is not in the live output
    attached_ns  when it was certain: what is written later is in the live output
    slack_ns     how far the Engine's clock may be from the one that stamps what is received

    over   the log is of no use any more: what it has comes live
    short  it did not reach back to the first live lines, which nobody noticed: what was before them may be gone
    """

    def __init__(self, asked_ns: int, attached_ns: int, *, slack_ns: int, tty: bool = False) -> None:
        self._slack_ns = slack_ns
        self._from_ns = asked_ns - slack_ns
        self._covers_ns = attached_ns + slack_ns + LAG_NS
        self._now_ns = attached_ns
        self._stepped = False
        self.over = False
        self._over_ns = 0
        self.short = False
        self._gap = False
        self._covered = False
        self._read: tuple[int, int] | None = None
        self._sides = {stream: _Side() for stream in ((STDOUT,) if tty else (STDOUT, STDERR))}
        self._streams = len(self._sides)

    @property
    def begun(self) -> bool:
        """Whether some stream is joined: the other's records stand in the log among ones that come live."""
        return len(self._sides) < self._streams

    @property
    def open(self) -> frozenset[int]:
        """The streams that are not joined yet."""
        return frozenset(self._sides)

    @property
    def covered(self) -> bool:
        """Whether the log was read up to where everything comes live."""
        return self._covered

    @property
    def read_for_sure_ns(self) -> int:
        """From then on the log has all that does not come live."""
        return self._covers_ns + LAG_NS

    @property
    def needs_log(self) -> bool:
        """Whether more of the log has to be read; else only time can tell."""
        return not self.over and (not self._covered or any(side.live for side in self._sides.values()))

    def receive(self, records: Records, now_ns: int) -> None:
        """These came live, by now: their times may say later, since the clock was set back."""
        for stream, side in self._sides.items():
            rows = [row for row, of in enumerate(records.streams) if of == stream]
            side.live += [likeness(records.messages[row]) for row in rows]
            side.received.extend([min(records.stamps[row], now_ns) for row in rows])

    def set_back(self, now_ns: int) -> None:
        """If the clock was set back, nothing happened later than now."""
        latest = [side.received[-1] for side in self._sides.values() if side.live]
        if max([self._now_ns, *latest]) > now_ns:
            self._stepped, self._from_ns = True, 0  # the log's times say nothing any more
            self._covers_ns = min(self._covers_ns, now_ns + self._slack_ns + LAG_NS)
            self._read = None
            for side in self._sides.values():
                side.received = array("q", [min(at, now_ns) for at in side.received])
        self._now_ns = now_ns

    def see(self, records: Records) -> None:
        """These came from the log, and those of streams that are open were taken."""
        if records.stamps and max(records.stamps) >= self._covers_ns and not self._stepped:
            self._covered = True
        for of, stamp, message in zip(records.streams, records.stamps, records.messages, strict=True):
            if side := self._sides.get(of):
                side.seen_ns, side.count = stamp, side.count + 1
                if (
                    stamp >= self._from_ns or len(message) >= PIECE_BYTES
                ):  # stamped when that much was written
                    side.seen.append(likeness(message))

    def overtaken(self, first_ns: int) -> bool:
        """The mark has rotated away, and the log begins at this time: whether it is `over` now."""
        met = self.begun or self._covered or any(side.seen for side in self._sides.values())
        self.over, self._over_ns = met or first_ns >= self._covers_ns, self._now_ns
        self._gap = not self.over
        for side in self._sides.values() if self._gap else ():
            side.count = 0
        return self.over

    def due_ns(self) -> int | None:
        """When the log should be read for the streams that are open; None: not before something comes."""
        if self.over and self._sides:
            return self._over_ns + LAG_NS  # then all has come that the log had
        dues = [self._due_of(side) for side in self._sides.values() if side.live]
        if self._sides and not self._covered:
            dues.append(self.read_for_sure_ns)
        return min(dues, default=None)

    def _due_of(self, side: _Side) -> int:
        """At once, if there is enough to be proved: in a burst the log may rotate away while we wait."""
        return side.received[0] + (0 if self._read is None and len(side.live) >= _PROOF else LAG_NS)

    def settle(self) -> dict[int, range]:
        """Join the streams of which nothing came, as they come: the other writes too fast to look for their lines."""
        return self._join(lambda side: None if side.live else 0) if self.begun and self._covered else {}

    def join_amid(self) -> dict[int, range]:
        """As `join`, while the log is being read: only what is beyond doubt."""

        def decide(side: _Side) -> int | None:
            skip = side.only(1, None) if side.live else None
            return skip if skip is not None and side.proved(skip) else None

        self._read = None
        return self._join(decide)

    def join(self, began_ns: int, now_ns: int, *, hurry: bool = False) -> dict[int, range]:
        """The streams that can be joined now, each with which live lines the log gave already.

        They may be more than have come.
        began_ns  when the read of the log began that has come to its end now
        hurry     decide now, even if there is more than one way, or none
        """
        self._read = began_ns, now_ns
        self._covered = self._covered or began_ns >= self._covers_ns
        return self._join(lambda side: self._decide(side, now_ns, hurry=hurry))

    def join_late(self, now_ns: int, *, hurry: bool = False) -> dict[int, range]:
        """As `join`, without another read: by and by all comes live that the last one had."""
        hurry = hurry or (self.over and now_ns >= self._over_ns + LAG_NS)
        return self._join(lambda side: self._decide(side, now_ns, hurry=hurry))

    def _decide(self, side: _Side, now_ns: int, *, hurry: bool) -> int | None:
        """How many live lines of one stream the log gave, as far as it was read; None: it is not known yet."""
        if not side.live:  # the first may be the end of a line that has begun, and is whole only in the log
            return 0 if hurry else None
        began_ns, ended_ns = self._read or (0, now_ns)
        least = bisect_right(side.received, began_ns - LAG_NS)
        most = bisect_right(side.received, ended_ns + LAG_NS) if now_ns >= ended_ns + LAG_NS else None
        if (least or hurry) and (skip := side.only(least, most)) is not None:
            return skip
        if not hurry and not (least and now_ns - side.received[0] >= PATIENCE_NS):
            return None
        ways = [*([] if least else [0]), *side.ways(least, most)]
        likely = bisect_right(side.received, began_ns or side.seen_ns)
        given = bisect_right(side.received, side.seen_ns)  # the log does not have what it should
        return min(ways, key=lambda skip: abs(skip - likely), default=given)

    def _join(self, decide: Callable[[_Side], int | None]) -> dict[int, range]:
        given = {
            stream: range(max(stop - side.count, 0), stop)
            for stream, side in self._sides.items()
            if (stop := decide(side)) is not None
        }
        for stream, lines in given.items():
            del self._sides[stream]
            self.short = self.short or (lines.start > 0 and not self._gap)
        return given
