"""What arrived at the sinks of a storm, and what the agent said of it: reported losses, dead letters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from agent.sinks.letterbox import letters
from tests.receivers.received import Inbox, Received, nanoseconds

_LINE = re.compile(r"(\w+\.\d+\.[oe]) (\d+) (\d+) (\S+) (\S*)")
_TAIL = re.compile(r"0+/(\w+\.\d+\.o)/(\d+)")
_LOSS = re.compile(
    r"lost (?P<much>.*) records of container (?P<name>\S+?)(?: for sink (?P<sink>\S+))? between (?P<first>\S+) "
    r"and (?P<last>\S+): (?P<cause>\w+)"
)


class Line(NamedTuple):
    """Which line of which stream of which run (`c7.1.o`)."""

    key: str
    number: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What the agent reported: times in ns since the epoch; `sink` "": for all of them."""

    who: str
    sink: str
    cause: str
    first_ns: int
    last_ns: int


def read_line(text: str) -> tuple[Line, str] | None:
    """The line and its flag; None: it is not whole."""
    match = _LINE.fullmatch(text)
    if match is None or len(match[5]) != int(match[3]):
        return None
    return Line(match[1], int(match[2])), match[4]


def read_tail(text: str) -> Line | None:
    """The line whose last piece this is: what is left of one whose first piece was rotated away."""
    match = _TAIL.fullmatch(text)
    return Line(match[1], int(match[2])) if match else None


def losses(log: str) -> Iterator[Loss]:
    """The losses that an agent's log tells of."""
    for found in _LOSS.finditer(log):
        first, last = nanoseconds(found["first"]), nanoseconds(found["last"])
        who = found["name"].partition("-")[0]
        yield Loss(who, found["sink"] or "", found["cause"], first, last)


def dead_letters(directory: Path, sink: str) -> set[Line]:
    """The lines that this sink's receiver refused."""
    found = set[Line]()
    for path in directory.glob(f"{sink}.ndjson*"):
        for _, _, letter in letters(path):
            if letter is not None and (read := read_line(letter.message.decode())) is not None:
                found.add(read[0])
    return found


@dataclass(slots=True)
class Book:
    """What arrived at one sink. `once`: nothing may come twice there."""

    sink: str
    once: bool
    came: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    strange: list[str] = field(default_factory=list)

    def take(self, text: str, at: int) -> None:
        """A record, in order of arrival; its time in ns."""
        read = read_line(text)
        if read is None:
            self.strange.append(text)
        else:
            self.came[read[0].key].append((read[0].number, at))

    def numbers(self, key: str) -> set[int]:
        """Of that stream's lines."""
        return {number for number, _ in self.came.get(key, ())}

    def repeats(self, key: str) -> int:
        """Of that stream's lines, how many came that had come before."""
        return len(self.came[key]) - len(self.numbers(key))

    def disorder(self) -> Iterator[str]:
        """Where a line came first after a later one of its stream."""
        for key, came in list(self.came.items()):
            first = list(dict.fromkeys(number for number, _ in came))
            yield from (f"{key} {b} after {a}" for a, b in pairwise(first) if b < a)


class Entering(Inbox):
    """An inbox that enters records in a book, and keeps of them no more than an id."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self._book = book

    def add(self, records: Iterable[Received]) -> None:
        kept = []
        for record in records:
            self._book.take(record.message, record.timestamp_ns)
            kept.append(replace(record, message=""))
        super().add(kept)
