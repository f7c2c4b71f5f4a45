"""The stored log of one simulated container, and how it is read back.

Place: between `copier`, which makes the pieces, and `server`, which sends them; sans-I/O.
Source: moby daemon/logger/loggerutils/logfile.go and follow.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.simulator.copier import Piece


@dataclass(frozen=True, slots=True)
class Window:
    """Which records a reader asked for: times in nanoseconds, both ends included; 0 means no bound.

    `tail` counts records of both streams before anything else is filtered; negative means all.
    `since_tests_every_record` is how Engines before 24 did it: the later ones stop testing at the first
    record kept.
    """

    since: int = 0
    until: int = 0
    tail: int = -1
    since_tests_every_record: bool = False


class Log:
    """Pieces in the order in which they came, the oldest of which may have been rotated away.

    Records are numbered from the container's creation on, so that a reader's place survives rotation.
    """

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._first = 0
        self._hole: int | None = None
        self._readers: set[LogReader] = set()

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Everything that is still kept, oldest first."""
        return tuple(self._pieces)

    @property
    def end(self) -> int:
        """The number that the next record will have."""
        return self._first + len(self._pieces)

    def extend(self, pieces: Iterable[Piece]) -> None:
        """Keep these, and wake the readers that follow."""
        self._pieces.extend(pieces)
        for reader in self._readers:
            reader.wake()

    def truncate(self, keep: int) -> None:
        """Forget all but the newest `keep` records.

        A reader that is already open loses nothing: like moby's, it has the old file open until it has read
        it.
        """
        forgotten = max(0, len(self._pieces) - keep)
        for reader in self._readers:
            reader.save(
                self._pieces[
                    max(0, reader.position - self._first) : min(forgotten, reader.stop - self._first)
                ]
            )
        del self._pieces[:forgotten]
        self._first += forgotten

    def damage(self) -> None:
        """Spoil the file here: a read that begins in front of it ends here in silence (Engine ≥ 27.4).

        `tail` counts through the damage: it gives what comes from now on if it begins behind it. A follow that
        begins in front goes on with what is written after it was opened.
        """
        self._hole = self.end

    def open(self, window: Window, *, follow: bool, wake: Callable[[], None]) -> LogReader:
        """Begin to read; `wake` is called when there is more to `take`, or nothing will come any more."""
        reader = LogReader(self, window, self._start(window), None if follow else self.end, wake)
        if self._hole is not None and self._hole > reader.position:
            reader.save(self._pieces[reader.position - self._first : self._hole - self._first])
            reader.position = self.end
        self._readers.add(reader)
        return reader

    def close_followers(self) -> None:
        """The container ended: readers deliver what is there, and end."""
        for reader in self._readers:
            reader.end_at(self.end)

    def forget(self, reader: LogReader) -> None:
        """This reader is closed."""
        self._readers.discard(reader)

    def slice(self, start: int, limit: int) -> list[Piece]:
        """At most `limit` records from number `start` on."""
        offset = start - self._first
        return self._pieces[offset : offset + limit]

    def _start(self, window: Window) -> int:
        if window.tail < 0:
            return self._first
        return max(self._first, self.end - window.tail)


class LogReader:
    """One reader's way through a log. Made by `Log.open`; `close` it at the end."""

    def __init__(
        self, log: Log, window: Window, position: int, end: int | None, wake: Callable[[], None]
    ) -> None:
        self.wake = wake
        self.position = position
        self._log = log
        self._window = window
        self._end = end
        self._saved: deque[Piece] = deque()
        self._testing_since = window.since > 0
        self._past_until = False

    @property
    def stop(self) -> int:
        """The number of the first record that is not, or not yet, this reader's."""
        return self._log.end if self._end is None else self._end

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing to take now."""
        return self._past_until or (not self._saved and self.position >= self.stop)

    @property
    def finished(self) -> bool:
        """Whether there will never be anything to take again."""
        return self._past_until or (self._end is not None and self.exhausted)

    def take(self, limit: int = 4096) -> list[Piece]:
        """Return the next records that the window lets through: possibly none, although the log has more."""
        return self._filtered(self._next(limit))

    def save(self, pieces: list[Piece]) -> None:
        """Keep these, which the log is about to forget."""
        self._saved.extend(pieces)
        self.position += len(pieces)

    def end_at(self, number: int) -> None:
        """Nothing from record `number` on belongs to this reader."""
        self._end = number if self._end is None else min(self._end, number)
        self.wake()

    def close(self) -> None:
        """Stop reading."""
        self._log.forget(self)

    def _next(self, limit: int) -> list[Piece]:
        if self._saved:
            return [self._saved.popleft() for _ in range(min(limit, len(self._saved)))]
        pieces = self._log.slice(self.position, min(limit, self.stop - self.position))
        self.position += len(pieces)
        return pieces

    def _filtered(self, pieces: list[Piece]) -> list[Piece]:
        if self._testing_since and pieces:
            pieces = self._not_before_since(pieces)
        until = self._window.until
        if until and any(piece.at > until for piece in pieces):
            self._past_until = True
            pieces = pieces[: next(i for i, piece in enumerate(pieces) if piece.at > until)]
        return pieces

    def _not_before_since(self, pieces: list[Piece]) -> list[Piece]:
        since = self._window.since
        if self._window.since_tests_every_record:
            return [piece for piece in pieces if piece.at >= since]
        for index, piece in enumerate(pieces):
            if piece.at >= since:
                self._testing_since = False
                return pieces[index:]
        return []
