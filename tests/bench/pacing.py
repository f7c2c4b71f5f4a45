"""Lines that say when they were written, some each second. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.lines import Lines

PAUSE_S = 0.001
#: What is written at once as fast as it is taken: near 4 KiB of ordinary lines.
_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Pace:
    """`lines`, so many a second of all containers together; 0: as fast as they are taken."""

    lines: Lines
    per_second: int

    def due(self, written: int, elapsed_s: float) -> range:
        """The numbers of the lines to be written now, after so many and so much time."""
        wanted = int(elapsed_s * self.per_second) if self.per_second else written + _AT_ONCE
        first = self.lines.first
        return range(first + written, first + min(wanted, self.lines.count))

    def parcels(self, numbers: range, containers: int, at_ns: int) -> Iterator[tuple[int, bytes]]:
        """What each container writes of these, by its place: they take turns."""
        for start in range(min(containers, len(numbers))):
            its = numbers[start::containers]
            yield (its[0] - self.lines.first) % containers, self.lines.stamped(its, at_ns)
