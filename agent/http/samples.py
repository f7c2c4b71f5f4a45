"""The counters, looked at once a second: how fast things go, and how that was in the last five minutes.

What has a counter for each container is looked at only when somebody asks: that is many of them.
No I/O; time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from prometheus_client import Counter, Gauge

from agent.metrics import Metrics

EVERY_S: Final = 1.0
#: From the first look to the second.
FIRST_S: Final = 0.25
KEPT_TICKS: Final = 300
#: A rate is taken over about so long: over less it is too restless to be read, over more it tells of the past.
_RATE_S, _RATE_MOST_S = 2.0, 10.0


class Amount(NamedTuple):
    """Records and message bytes: counted, or by the second."""

    records: float = 0.0
    bytes: float = 0.0


class Waiting(NamedTuple):
    """What waits for a sink, and the age of its oldest record."""

    records: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """All counters at one moment, monotonic seconds: read, by the container's name; delivered, by sink."""

    at: float
    read: dict[str, Amount]
    delivered: dict[str, Amount]


@dataclass(frozen=True, slots=True)
class Rates:
    """What goes by the second, between two moments; nothing, if these are one: see `known`."""

    first: Counts
    last: Counts

    @property
    def known(self) -> bool:
        """Whether there were two looks."""
        return self.last.at > self.first.at

    def read(self, container: str) -> Amount:
        return self._rate(self.first.read, self.last.read, container)

    def delivered(self, sink: str) -> Amount:
        return self._rate(self.first.delivered, self.last.delivered, sink)

    def _rate(self, before: dict[str, Amount], after: dict[str, Amount], name: str) -> Amount:
        if not self.known:
            return Amount()
        seconds = self.last.at - self.first.at
        was, is_now = before.get(name, Amount()), after.get(name, Amount())
        return Amount(*(round((now - then) / seconds, 1) for now, then in zip(is_now, was, strict=True)))


class Point(NamedTuple):
    """One tick of the history: records spooled by the second; by sink, bytes delivered by the second, what waited."""

    records: float
    sinks: dict[str, tuple[float, Waiting]]


class Samples:
    """Call `take` every `EVERY_S`; ask what you like."""

    def __init__(self, metrics: Metrics) -> None:
        self.tick = 0
        self._metrics = metrics
        self._taken: tuple[float, float, dict[str, float]] | None = None
        self._points: deque[Point] = deque(maxlen=KEPT_TICKS)
        self._counts: deque[Counts] = deque()

    def take(self, now: float) -> None:
        """Add to the history. `now`: monotonic seconds."""
        spooled = sum(value for _, value in counted(self._metrics.spooled_records))
        delivered = _sums(self._metrics.delivered_bytes, "sink")
        then, spooled_then, delivered_then = self._taken or (now, spooled, delivered)
        seconds = max(now - then, 1e-3)
        sinks = {
            name: ((delivered.get(name, 0.0) - delivered_then.get(name, 0.0)) / seconds, waits)
            for name, waits in self.waiting().items()
        }
        self._points.append(Point((spooled - spooled_then) / seconds, sinks))
        self._taken = now, spooled, delivered
        self.tick += 1

    def rates(self, now: float) -> Rates:
        """How fast everything goes. What was counted just now is not counted again."""
        counts, metrics = self._counts, self._metrics
        if not counts or now - counts[-1].at >= FIRST_S:
            read = _amounts(metrics.read_records, metrics.read_bytes, "container")
            counts.append(
                Counts(now, read, _amounts(metrics.delivered_records, metrics.delivered_bytes, "sink"))
            )
        while len(counts) > 2 and now - counts[1].at >= _RATE_S:
            counts.popleft()
        if now - counts[0].at > _RATE_MOST_S:
            counts.popleft()
        return Rates(counts[0], counts[-1])

    def waiting(self) -> dict[str, Waiting]:
        """What waits, by sink."""
        metrics = self._metrics
        gauges = (metrics.lag_records, metrics.lag_bytes, metrics.lag_seconds)
        records, size, seconds = (_sums(gauge, "sink") for gauge in gauges)
        return {
            name: Waiting(int(count), int(size.get(name, 0)), round(seconds.get(name, 0.0), 3))
            for name, count in records.items()
        }

    def history(self, since: int) -> dict[str, object]:
        """The points after that tick, as lists of one length; a sink that is newer has 0 before it."""
        first = max(since, self.tick - len(self._points))
        points = list(islice(self._points, len(self._points) - (self.tick - first), None))
        names = points[-1].sinks if points else ()
        columns = {name: [point.sinks.get(name, (0.0, Waiting())) for point in points] for name in names}
        return {
            "first_tick": first + 1,
            "records_per_second": [round(point.records, 1) for point in points],
            "sinks": {
                name: {
                    "bytes_per_second": [round(rate) for rate, _ in column],
                    "waiting_records": [waits.records for _, waits in column],
                    "lag_seconds": [waits.seconds for _, waits in column],
                }
                for name, column in columns.items()
            },
        }


def counted(metric: Counter | Gauge) -> Iterator[tuple[dict[str, str], float]]:
    """The children of a metric: labels, and value."""
    for family in metric.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.labels, sample.value


def _sums(metric: Counter | Gauge, label: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for labels, value in counted(metric):
        name = labels[label]
        sums[name] = sums.get(name, 0.0) + value
    return sums


def _amounts(records: Counter, size: Counter, label: str) -> dict[str, Amount]:
    sizes = _sums(size, label)
    return {name: Amount(count, sizes.get(name, 0.0)) for name, count in _sums(records, label).items()}
