"""What happens to one stream: the faults that it met, and how far each has come.

Place: made by `faults` when a stream begins, asked by `streams` for every record and byte; no I/O, no chance.
Source: moby #45728 (follow hangs), the repeats of 20.10's rotation, rotations missed since 23.0, logstream.go
(in-band errors), proxies with time limits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.simulator.copier import SYSTEM_ERROR, Piece


@dataclass(frozen=True, slots=True)
class Cut:
    """End a stream after so many bytes of its body, cleanly or with the connection broken off."""

    after_bytes: int
    reset: bool


@dataclass(frozen=True, slots=True)
class CutEvery:
    """End streams of this age, or that were silent for so long."""

    seconds: float
    idle_only: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class Hang:
    """Send nothing more, not even the end."""

    after: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the last records once more."""

    records: int
    after: int


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave the next records out."""

    records: int
    after: int


@dataclass(frozen=True, slots=True)
class ReportError:
    """Put the daemon's own error text into the stream."""

    text: str
    after: int
    go_on: bool


RecordEffect = Hang | Repeat | Skip | ReportError
StreamEffect = Cut | CutEvery | RecordEffect


class Course:
    """What one stream goes through: the faults that it met, and how far each has come."""

    def __init__(self, wake: Callable[[], None], *, follow: bool) -> None:
        self.wake = wake
        self.over = False
        self.timeouts: list[CutEvery] = []
        self.cut: Cut | None = None
        self._follow = follow
        self._pending: list[tuple[int, RecordEffect]] = []  # at which count of records; what
        self._seen = 0
        self._hung = False
        self._skipping = 0
        self._recent: deque[Piece] = deque(maxlen=0)

    def meet(self, effect: StreamEffect) -> bool:
        """Take on this fault if it can befall such a stream; return whether it does."""
        match effect:
            case Cut() as cut if self.cut is None:
                self.cut = cut
            case CutEvery() as timeout:
                self.timeouts.append(timeout)
            case Hang() | Repeat() | Skip() if self._follow:
                self._await(effect)
            case ReportError():
                self._await(effect)
            case _:
                return False
        return True

    @property
    def hung(self) -> bool:
        """Whether the stream is to stay silent for ever."""
        return self._hung

    @property
    def changes_records(self) -> bool:
        """Whether records have to go through `shape`."""
        return bool(self._pending or self._skipping or self._hung)

    def shape(self, pieces: list[Piece]) -> list[Piece]:
        """Return what is sent in place of these records."""
        shaped: list[Piece] = []
        self._act(shaped)
        for piece in pieces:
            if self.over or self._hung:
                break
            if self._skipping:
                self._skipping -= 1
                continue
            shaped.append(piece)
            self._recent.append(piece)
            self._seen += 1
            self._act(shaped)
        return shaped

    def clip(self, data: bytes) -> bytes:
        """Return as much as may still be sent. `cut.after_bytes` is 0 when the stream is to be cut now."""
        if self.cut is None:
            return data
        allowed = data[: self.cut.after_bytes]
        self.cut = Cut(self.cut.after_bytes - len(allowed), self.cut.reset)
        return allowed

    def _await(self, effect: RecordEffect) -> None:
        self._pending.append((self._seen + effect.after, effect))
        if isinstance(effect, Repeat):
            self._recent = deque(self._recent, maxlen=max(effect.records, self._recent.maxlen or 0))

    def _act(self, shaped: list[Piece]) -> None:
        due = [effect for count, effect in self._pending if count <= self._seen]
        if not due:
            return
        self._pending = [(count, effect) for count, effect in self._pending if count > self._seen]
        for effect in due:
            match effect:
                case Hang():
                    self._hung = True
                case Repeat():
                    shaped.extend(list(self._recent)[-effect.records :])
                case Skip():
                    self._skipping += effect.records
                case ReportError():
                    text = f"Error grabbing logs: {effect.text}\n"
                    shaped.append(Piece(SYSTEM_ERROR, 0, text.encode()))
                    self.over = self.over or not effect.go_on
