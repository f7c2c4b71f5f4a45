"""`/api/state`: how everything fares, as JSON. Its shape is public: docs/status-page.md. No I/O."""

from __future__ import annotations

from heapq import nlargest
from operator import itemgetter
from typing import Final

from prometheus_client import Gauge

from agent import __version__
from agent.batch import NS
from agent.http.samples import Amount, Rates, Samples, Waiting, counted
from agent.http.status import ContainerStatus, Status, sink_facts
from agent.losses import Cause
from agent.metrics import Metrics

#: Grows when a field changes its meaning.
SHAPE: Final = 1
_PLACES_MOST: Final = 20
_MEANINGS: Final = {cause.value: cause.meaning for cause in Cause}


class State:
    """Gathers the answer. `began`: when the agent did, monotonic seconds."""

    def __init__(self, status: Status, metrics: Metrics, samples: Samples, *, began: float) -> None:
        self._status, self._metrics, self._samples = status, metrics, samples
        self._began = began

    def to_json(self, *, now: float, clock_ns: int, since: int | None) -> dict[str, object]:
        """Everything as it is `now`, monotonic seconds, and at `clock_ns` since the epoch.

        since  the history after this tick is told, too
        """
        status, rates = self._status, self._samples.rates(now)
        answer: dict[str, object] = {
            "shape": SHAPE,
            "tick": self._samples.tick,
            "agent": {"version": __version__, "uptime_seconds": round(now - self._began, 1)},
            "engine": {"connected": status.engine_connected, "name": status.engine},
            "spool": self._spool(),
            "containers": self._containers(rates, clock_ns),
            "sinks": self._sinks(rates, now),
            "losses": self._losses(),
        }
        if since is not None:
            answer["history"] = self._samples.history(since)
        return answer

    def _spool(self) -> dict[str, object]:
        status, metrics = self._status, self._metrics
        in_memory = status.spool_max_bytes is None
        return {
            "disk_bytes": None if in_memory else _value(metrics.spool_bytes),
            "disk_max_bytes": status.spool_max_bytes,
            "memory_bytes": _value(metrics.memory_bytes),
            "memory_max_bytes": status.memory_max_bytes,
            "degraded": status.spool_degraded,
        }

    def _containers(self, rates: Rates, clock_ns: int) -> list[dict[str, object]]:
        known = sorted(self._status.containers, key=lambda each: each.container.name)
        return [_container(each, rates.read(each.container.name), clock_ns) for each in known]

    def _sinks(self, rates: Rates, now: float) -> list[dict[str, object]]:
        totals = rates.last.delivered
        waiting = self._samples.waiting()
        refused = dict[str, int]()
        for labels, value in counted(self._metrics.refused_records):
            refused[labels["sink"]] = refused.get(labels["sink"], 0) + int(value)
        return [
            {
                "name": name,
                **sink_facts(sink, now),
                **_per_second(rates.delivered(name)),
                "delivered_records": int(totals.get(name, Amount()).records),
                "refused_records": refused.get(name, 0),
                **_waits(waiting.get(name, Waiting())),
            }
            for name, sink in self._status.sinks.items()
        ]

    def _losses(self) -> list[dict[str, object]]:
        places: dict[str, dict[tuple[str, str], int]] = {}
        for labels, value in counted(self._metrics.lost_records):
            places.setdefault(labels["cause"], {})[labels["container"], labels["sink"]] = int(value)
        return [
            {
                "cause": cause,
                "meaning": _MEANINGS[cause],
                "records": sum(where.values()),
                "where": [
                    {"container": container, "sink": sink or None, "records": records}
                    for (container, sink), records in nlargest(_PLACES_MOST, where.items(), key=itemgetter(1))
                ],
            }
            for cause, where in sorted(places.items(), key=lambda each: -sum(each[1].values()))
        ]


def _container(status: ContainerStatus, rate: Amount, clock_ns: int) -> dict[str, object]:
    container, newest_ns = status.container, status.newest_ns
    return {
        "id": container.id,
        "name": container.name,
        "image": container.image,
        "project": container.project,
        "service": container.service,
        "mode": status.mode,
        "sinks": container.sinks,
        **_per_second(rate),
        "last_record_seconds_ago": round(max(0, clock_ns - newest_ns) / NS, 1) if newest_ns else None,
    }


def _per_second(rate: Amount) -> dict[str, float]:
    return {"records_per_second": rate.records, "bytes_per_second": rate.bytes}


def _waits(waiting: Waiting) -> dict[str, float]:
    return {
        "waiting_records": waiting.records,
        "waiting_bytes": waiting.bytes,
        "lag_seconds": waiting.seconds,
    }


def _value(gauge: Gauge) -> int:
    return int(sum(value for _, value in counted(gauge)))
