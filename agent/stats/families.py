"""The metrics of containers: each with the name, kind and meaning that cAdvisor gives it, and what it is made of.

Source: cAdvisor, lib/metrics/prometheus.go. What the Engine does not say is left out, where cAdvisor would read it
from the host's files, or say 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from agent.batch import NS
from agent.metrics import (
    CONTAINER_EXIT_CODE,
    CONTAINER_OUT_OF_MEMORY,
    CONTAINER_RESTARTS,
    CONTAINER_STATE,
    Declared,
)
from agent.stats.formulas import working_set
from agent.stats.known import Known
from agent.stats.series import (
    MOST_PARTS,
    NO_LABELS,
    Family,
    Labels,
    Series,
    device_of,
    of_devices,
    of_interfaces,
    of_limits,
    of_memory,
    of_quota,
    of_sample,
)

_HEALTH: Final = {"healthy": 1, "": -1}


def _usage(known: Known) -> Iterator[tuple[Labels, float]]:
    # As cAdvisor where the kernel does not tell the CPUs apart: many CPUs would be many series.
    if known.sample is not None:
        yield {"cpu": "total"}, known.sample.cpu.total / NS


def _blkio(known: Known) -> Iterator[tuple[Labels, float]]:
    if known.sample is not None:
        for entry in islice(known.sample.disks.bytes, MOST_PARTS):
            yield (
                {
                    "device": device_of(entry),
                    "major": str(entry.major),
                    "minor": str(entry.minor),
                    "operation": entry.operation,
                },
                entry.value,
            )


def _failures(known: Known) -> Iterator[tuple[Labels, float]]:
    memory = known.sample.memory if known.sample is not None else None
    if memory is not None:
        for kind in ("pgfault", "pgmajfault"):
            if kind in memory.stats:
                yield {"failure_type": kind, "scope": "container"}, memory.stats[kind]
                yield {"failure_type": kind, "scope": "hierarchy"}, memory.stats[kind]


def _last_seen(known: Known) -> Iterator[tuple[Labels, float]]:
    if known.sample is not None:
        yield NO_LABELS, known.seen_s


def _health(known: Known) -> Iterator[tuple[Labels, float]]:
    yield NO_LABELS, _HEALTH.get(known.condition.health, 0)


def _started(known: Known) -> Iterator[tuple[Labels, float]]:
    yield NO_LABELS, known.facts.started_ns // NS


def _created(known: Known) -> Iterator[tuple[Labels, float]]:
    yield NO_LABELS, known.facts.created_ns // NS


def _state(known: Known) -> Iterator[tuple[Labels, float]]:
    if known.condition.state:
        yield {"state": known.condition.state}, 1


def _restarts(known: Known) -> Iterator[tuple[Labels, float]]:
    yield NO_LABELS, known.facts.restart_count


def _exit_code(known: Known) -> Iterator[tuple[Labels, float]]:
    if known.facts.finished_ns:
        yield NO_LABELS, known.facts.exit_code


def _out_of_memory(known: Known) -> Iterator[tuple[Labels, float]]:
    if known.limits is not None:
        yield NO_LABELS, float(known.limits.out_of_memory)


def _own(declared: Declared, values: Callable[[Known], Series]) -> Family:
    return Family(declared.name, declared.kind, declared.help, values)


def _counter(name: str, help: str, values: Callable[[Known], Series]) -> Family:
    return Family(f"container_{name}", "counter" if name.endswith("_total") else "unknown", help, values)


def _gauge(name: str, help: str, values: Callable[[Known], Series]) -> Family:
    return Family(f"container_{name}", "gauge", help, values)


_CPU = (
    _counter("cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", _usage),
    _counter(
        "cpu_user_seconds_total",
        "Cumulative user cpu time consumed in seconds.",
        of_sample(lambda sample: sample.cpu.user / NS),
    ),
    _counter(
        "cpu_system_seconds_total",
        "Cumulative system cpu time consumed in seconds.",
        of_sample(lambda sample: sample.cpu.kernel / NS),
    ),
    _counter(
        "cpu_cfs_periods_total",
        "Number of elapsed enforcement period intervals.",
        of_quota(lambda cpu: cpu.periods),
    ),
    _counter(
        "cpu_cfs_throttled_periods_total",
        "Number of throttled period intervals.",
        of_quota(lambda cpu: cpu.throttled_periods),
    ),
    _counter(
        "cpu_cfs_throttled_seconds_total",
        "Total time duration the container has been throttled.",
        of_quota(lambda cpu: cpu.throttled / NS),
    ),
)
_MEMORY = (
    _gauge(
        "memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        of_memory(lambda memory: memory.usage),
    ),
    _gauge("memory_working_set_bytes", "Current working set in bytes.", of_memory(working_set)),
    _gauge(
        "memory_max_usage_bytes",
        "Maximum memory usage recorded in bytes",
        of_memory(lambda memory: memory.highest),
    ),
    _gauge("memory_rss", "Size of RSS in bytes.", of_memory(lambda memory: memory.stat("rss", "anon"))),
    _gauge(
        "memory_cache",
        "Number of bytes of page cache memory.",
        of_memory(lambda memory: memory.stat("cache", "file")),
    ),
    _gauge(
        "memory_swap", "Container swap usage in bytes.", of_memory(lambda memory: memory.stat("swap", ""))
    ),
    _gauge(
        "memory_mapped_file",
        "Size of memory mapped files in bytes.",
        of_memory(lambda memory: memory.stat("mapped_file", "file_mapped")),
    ),
    _gauge(
        "memory_total_active_file_bytes",
        "Current total active file in bytes.",
        of_memory(lambda memory: memory.stat("active_file", "active_file")),
    ),
    _gauge(
        "memory_total_inactive_file_bytes",
        "Current total inactive file in bytes.",
        of_memory(lambda memory: memory.stat("inactive_file", "inactive_file")),
    ),
    _counter(
        "memory_failcnt", "Number of memory usage hits limits", of_memory(lambda memory: memory.failures)
    ),
    _counter("memory_failures_total", "Cumulative count of memory allocation failures.", _failures),
)
_NETWORK = (
    _counter(
        "network_receive_bytes_total",
        "Cumulative count of bytes received",
        of_interfaces(lambda interface: interface.received.bytes),
    ),
    _counter(
        "network_receive_packets_total",
        "Cumulative count of packets received",
        of_interfaces(lambda interface: interface.received.packets),
    ),
    _counter(
        "network_receive_packets_dropped_total",
        "Cumulative count of packets dropped while receiving",
        of_interfaces(lambda interface: interface.received.dropped),
    ),
    _counter(
        "network_receive_errors_total",
        "Cumulative count of errors encountered while receiving",
        of_interfaces(lambda interface: interface.received.errors),
    ),
    _counter(
        "network_transmit_bytes_total",
        "Cumulative count of bytes transmitted",
        of_interfaces(lambda interface: interface.sent.bytes),
    ),
    _counter(
        "network_transmit_packets_total",
        "Cumulative count of packets transmitted",
        of_interfaces(lambda interface: interface.sent.packets),
    ),
    _counter(
        "network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while transmitting",
        of_interfaces(lambda interface: interface.sent.dropped),
    ),
    _counter(
        "network_transmit_errors_total",
        "Cumulative count of errors encountered while transmitting",
        of_interfaces(lambda interface: interface.sent.errors),
    ),
)
_DISKS = (
    _counter(
        "fs_reads_bytes_total",
        "Cumulative count of bytes read",
        of_devices(lambda disks: disks.bytes, "Read"),
    ),
    _counter(
        "fs_writes_bytes_total",
        "Cumulative count of bytes written",
        of_devices(lambda disks: disks.bytes, "Write"),
    ),
    _counter(
        "fs_reads_total",
        "Cumulative count of reads completed",
        of_devices(lambda disks: disks.operations, "Read"),
    ),
    _counter(
        "fs_writes_total",
        "Cumulative count of writes completed",
        of_devices(lambda disks: disks.operations, "Write"),
    ),
    _counter("blkio_device_usage_total", "Blkio Device bytes usage", _blkio),
)
_THREADS = (
    _gauge(
        "threads", "Number of threads running inside the container", of_sample(lambda sample: sample.threads)
    ),
    _gauge(
        "threads_max",
        "Maximum number of threads allowed inside the container, infinity if value is zero",
        of_sample(lambda sample: sample.threads_limit),
    ),
)
_SPEC = (
    _gauge("spec_cpu_period", "CPU period of the container.", of_limits(lambda limits: limits.cpu_period)),
    _gauge(
        "spec_cpu_quota", "CPU quota of the container.", of_limits(lambda limits: limits.cpu_quota or None)
    ),
    _gauge("spec_cpu_shares", "CPU share of the container.", of_limits(lambda limits: limits.cpu_shares)),
    _gauge(
        "spec_memory_limit_bytes", "Memory limit for the container.", of_limits(lambda limits: limits.memory)
    ),
    _gauge(
        "spec_memory_swap_limit_bytes",
        "Memory swap limit for the container.",
        of_limits(lambda limits: limits.memory_and_swap),
    ),
    _gauge(
        "spec_memory_reservation_limit_bytes",
        "Memory reservation limit for the container.",
        of_limits(lambda limits: limits.memory_reservation),
    ),
)
_LAST_SEEN = _gauge("last_seen", "Last time a container was seen by the exporter", _last_seen)
_TIMES = (
    _gauge("health_state", "The result of the container's health check", _health),
    _gauge("start_time_seconds", "Start time of the container since unix epoch in seconds.", _started),
    _gauge("creation_time_seconds", "Container creation time since unix epoch in seconds.", _created),
)

#: cAdvisor's, of containers that run: what a sample says, and what else is known of the run.
OF_SAMPLES: Final = (*_CPU, *_MEMORY, *_NETWORK, *_DISKS, *_THREADS, _LAST_SEEN)
OF_RUNS: Final = (*_SPEC, *_TIMES)
#: Those that cAdvisor has not, of ended containers too.
OF_ALL: Final = (
    _own(CONTAINER_STATE, _state),
    _own(CONTAINER_RESTARTS, _restarts),
    _own(CONTAINER_EXIT_CODE, _exit_code),
    _own(CONTAINER_OUT_OF_MEMORY, _out_of_memory),
)
