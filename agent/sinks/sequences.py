"""Which numbers an idempotent producer gives its record sets, so that a set sent again is stored once.

Source: KIP-98 and Kafka's ProducerStateManager. A broker takes a producer's records of a partition only in
sequence, without a gap, and knows the last five sets again. So a set that was sent, and of which no one knows
whether it was stored, has to be sent again as it was before anything else is. Where that is not to be, because
its records were divided or are dead letters by now, a new producer begins at 0. Plain state, without I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_WRAP = 1 << 31


class Producer(NamedTuple):
    """An id that the cluster gave out, and its epoch; all -1: none, and nothing is known again."""

    id: int = -1
    epoch: int = -1


NOBODY = Producer()


class Place(NamedTuple):
    """The partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Name:
    """What a record set is known by, when it is made again of the same records."""

    place: Place
    first_id: bytes
    last_id: bytes
    count: int


@dataclass(slots=True)
class Sequences:
    """The sequence of each partition, of one producer at a time."""

    producer: Producer = NOBODY
    _next: dict[Place, int] = field(default_factory=dict)
    _left: defaultdict[Place, dict[Name, int]] = field(default_factory=lambda: defaultdict(dict))

    def begin(self, producer: Producer) -> None:
        """Go on as this producer, from 0."""
        self.producer = producer
        self._next.clear()
        self._left.clear()

    def forget(self, producer: Producer) -> None:
        """That producer is of no use any more."""
        if producer == self.producer:
            self.begin(NOBODY)

    def assign(self, names: Sequence[Name]) -> list[int] | None:
        """A number for each of these sets, in the order they will be sent; None: first begin anew."""
        numbers = self._numbers(names)
        if numbers is None:
            self.begin(NOBODY)
        return numbers

    def leave(self, producer: Producer, name: Name, number: int) -> None:
        """That set was sent as this number, and is not known to be stored."""
        if producer == self.producer:
            self._left[name.place][name] = number

    def _numbers(self, names: Sequence[Name]) -> list[int] | None:
        wanted = set(names)
        if self.producer == NOBODY or any(self._left[name.place].keys() - wanted for name in names):
            return None
        numbers: list[int] = []
        latest: dict[Place, int] = {}
        for name in names:
            number = self._left[name.place].pop(name, None)
            if number is None:
                number = self._next.get(name.place, 0)
                self._next[name.place] = (number + name.count) % _WRAP
            if number < latest.get(name.place, 0):
                return None
            latest[name.place] = number
            numbers.append(number)
        return numbers
