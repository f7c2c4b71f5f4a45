"""What is known of containers, as Prometheus's library asks for it at each scrape: nothing stays of one that is gone.

As cAdvisor, each value of a sample carries the time it is of, so that rates are exact however scrape and
interval meet. One that is too old is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from agent.stats.families import OF_ALL, OF_RUNS, OF_SAMPLES
from agent.stats.known import Known
from agent.stats.series import Family

#: Containers with series of their own; those that run go first.
MOST_CONTAINERS: Final = 1000
_TOTAL: Final = "_total"


class Exposition(Collector):
    """A collector over `containers`. `oldest_s`: a sample of that age, in seconds, is still shown."""

    def __init__(
        self, containers: Callable[[], Collection[Known]], *, oldest_s: float, clock: Callable[[], float]
    ) -> None:
        self._containers = containers
        self._oldest_s = oldest_s
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        return (_metric(family) for family in (*OF_SAMPLES, *OF_RUNS, *OF_ALL))

    def collect(self) -> Iterator[Metric]:
        shown = sorted(self._containers(), key=lambda known: known.run is None)[:MOST_CONTAINERS]
        since = self._clock() - self._oldest_s
        fresh = [known for known in shown if known.sample is not None and known.seen_s >= since]
        for family in OF_SAMPLES:
            yield _filled(family, fresh, timed=True)
        for family in OF_RUNS:
            yield _filled(family, fresh, timed=False)
        for family in OF_ALL:
            yield _filled(family, shown, timed=False)


def _metric(family: Family) -> Metric:
    # The library adds `_total` to the name of a counter, and to nothing else.
    return Metric(
        family.name.removesuffix(_TOTAL) if family.kind == "counter" else family.name,
        family.help,
        family.kind,
    )


def _filled(family: Family, containers: Collection[Known], *, timed: bool) -> Metric:
    metric = _metric(family)
    for known in containers:
        at = known.seen_s if timed else None
        for labels, value in family.values(known):
            metric.add_sample(family.name, {**known.labels, **labels} if labels else known.labels, value, at)
    return metric
