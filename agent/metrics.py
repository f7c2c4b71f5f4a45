"""Every metric: name, unit, labels, meaning. One `Metrics` per process; no global registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX: Final = "dockferry_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric, as the reference shows it; `name` as Prometheus sees it."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


#: Of containers themselves, beside those with cAdvisor's names; without `DOCKFERRY_STATS` there are none.
_WHICH = ("id", "name", "image")
CONTAINER_STATE = Declared(
    f"{PREFIX}container_state", "gauge", "1 for the state a container is in", (*_WHICH, "state")
)
CONTAINER_RESTARTS = Declared(
    f"{PREFIX}container_restarts_total", "counter", "Restarts of a container by its restart policy", _WHICH
)
CONTAINER_EXIT_CODE = Declared(
    f"{PREFIX}container_exit_code", "gauge", "Exit code of a container's last run that ended", _WHICH
)
CONTAINER_OUT_OF_MEMORY = Declared(
    f"{PREFIX}container_out_of_memory",
    "gauge",
    "1 if a container's last run was ended for want of memory",
    _WHICH,
)


class Metrics:
    """The process's counters and gauges. Label `container` is the container's name, `sink` the sink's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.declared: list[Declared] = []
        counter, gauge = self._counter, self._gauge
        on_stream, on_sink = ("container", "stream"), ("sink",)

        self.read_records = counter("read_records", "Records read from the Engine", on_stream)
        self.read_bytes = counter("read_bytes", "Message bytes read from the Engine", on_stream)
        self.truncated_records = counter("truncated_records", "Records cut at max_line_bytes", on_stream)
        self.undecodable_records = counter("undecodable_records", "Records that were not UTF-8", on_sink)
        self.repeats_removed = counter(
            "repeats_removed_records", "Records the Engine sent again, left out", ("container",)
        )
        self.lost_records = counter(
            "lost_records",
            "Records lost, by cause; estimates count as they are, unknown numbers as 1",
            ("cause", "container", "sink"),
        )
        self.withheld_records = counter(
            "withheld_records",
            "Records left out as a setting asks, by step; with a sink's name: left out for that sink alone",
            ("container", "sink", "step"),
        )
        self.unparsed_records = counter(
            "unparsed_records", "Records that were not in the form they were to be parsed as", ("container",)
        )
        self.redacted_records = counter(
            "redacted_records", "Records in which something was masked", ("container",)
        )
        self.stream_errors = counter("stream_errors", "Errors of log streams", ("container", "kind"))
        self.stream_opens = counter("stream_opens", "Log streams opened", ("container",))
        self.engine_connected = gauge("engine_connected", "1 while the Engine answers", ())
        self.engine_reconnects = counter("engine_reconnects", "Connections to the Engine begun anew", ())
        self.containers = gauge("containers", "Containers being read", ())

        self.spooled_records = counter("spooled_records", "Records accepted by the spool", ())
        self.spool_bytes = gauge("spool_bytes", "Bytes waiting in the spool, on disk", ())
        self.memory_bytes = gauge("memory_bytes", "Bytes of batches held in memory", ())
        self.spool_degraded = gauge("spool_degraded", "1 while the disk cannot be written", ())

        self.delivered_records = counter(
            "delivered_records", "Records a sink accepted", ("sink", "container")
        )
        self.delivered_bytes = counter("delivered_bytes", "Message bytes a sink accepted", on_sink)
        self.refused_records = counter("refused_records", "Records a sink refused", ("sink", "container"))
        self.retries = counter("retries", "Requests sent again", on_sink)
        self.requests = counter("requests", "Requests by outcome", ("sink", "outcome"))
        self.request_seconds = self._histogram("request_seconds", "Time of one request", on_sink)
        self.sink_up = gauge("sink_up", "1 while the sink's last answer was good", on_sink)
        self.lag_records = gauge("lag_records", "Records waiting for a sink", on_sink)
        self.lag_bytes = gauge("lag_bytes", "Message bytes waiting for a sink", on_sink)
        self.lag_seconds = gauge("lag_seconds", "Age of the oldest record waiting for a sink", on_sink)
        self.tasks = gauge("tasks", "asyncio tasks there are, every five seconds", ())
        self.restarts = counter("task_restarts", "Parts of the agent restarted after an error", ("part",))

        self.stats_answers = counter("stats_answers", "Answers about what containers use", ("outcome",))
        self.declared += (
            CONTAINER_STATE,
            CONTAINER_RESTARTS,
            CONTAINER_EXIT_CODE,
            CONTAINER_OUT_OF_MEMORY,
        )

    def _counter(self, name: str, help: str, labels: tuple[str, ...]) -> Counter:
        self.declared.append(Declared(f"{PREFIX}{name}_total", "counter", help, labels))
        return Counter(PREFIX + name, help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, labels: tuple[str, ...]) -> Gauge:
        self.declared.append(Declared(PREFIX + name, "gauge", help, labels))
        return Gauge(PREFIX + name, help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, labels: tuple[str, ...]) -> Histogram:
        self.declared.append(Declared(PREFIX + name, "histogram", help, labels))
        return Histogram(PREFIX + name, help, labels, buckets=_SECONDS, registry=self.registry)
