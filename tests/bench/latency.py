"""How long lines were under way, from the times that are written in them. Pure: the time comes in."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.lines import STAMP


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a line's write to its receipt, of half of the lines, of 99 %, of 99.9 %, of all."""

    p50: float
    p99: float
    p999: float
    most: float


class Latencies:
    """Gathers those of one receiver."""

    def __init__(self) -> None:
        self._ns = array("q")

    def add(self, data: bytes, now_ns: int) -> None:
        """Lines that came now; those without a time are passed over."""
        self._ns.extend(now_ns - int(stamp) for stamp in STAMP.findall(data))

    @property
    def found(self) -> Latency | None:
        """None: no line said when it was written."""
        ordered = sorted(self._ns)
        if not ordered:
            return None
        return Latency(*(percentile(ordered, share) / 1e6 for share in (0.5, 0.99, 0.999, 1)))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that this share of them does not exceed (the nearest rank)."""
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(rank, 1) - 1]
