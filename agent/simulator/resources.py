"""What simulated containers use: the Engine's answer to `/containers/{id}/stats`, as from a host with cgroup v2.

Place: used by `server`; plain functions of a container and the time. Nothing is measured: the figures grow with the
time a container has run. Source: moby api/types/container/stats.go and daemon/stats_unix.go.
"""

from __future__ import annotations

from typing import Any, Final

from agent.simulator.containers import Container, State
from agent.simulator.documents import time_text
from agent.simulator.wire import NANOSECONDS

Document = dict[str, Any]

CPUS: Final = 2
HOST_MEMORY_BYTES: Final = 4 * 1024**3
_MIB: Final = 1024**2
_TICK_NS: Final = 10_000_000  # of /proc/stat, which the host's CPU time is read from
_EMPTY: Final[Document] = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}


def stats(container: Container, now: int, *, before: int | None) -> Document:
    """Answer for this moment. `before`: a moment to compare with; None: `one-shot` was asked for."""
    names: Document = {"name": f"/{container.name}", "id": container.id}
    if container.state not in {State.RUNNING, State.PAUSED}:
        nothing: Document = {
            "read": time_text(0),
            "preread": time_text(0),
            "pids_stats": {},
            "blkio_stats": _disks(None),
        }
        return nothing | {"cpu_stats": _EMPTY, "precpu_stats": _EMPTY, "memory_stats": {}} | names
    ran = max(0, now - container.started_at)
    document: Document = {
        "read": time_text(now),
        "preread": time_text(before or 0),
        "pids_stats": {"current": 1 + _share(container) % 4, "limit": 4567},
        "blkio_stats": _disks(container),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(container, now),
        "precpu_stats": _EMPTY if before is None else _cpu(container, before),
        "memory_stats": _memory(container, ran),
        "networks": {"eth0": _interface(container, ran)},
    }
    return document | names


def _share(container: Container) -> int:
    """How busy it is, in percent of a CPU: from 1 to 32, always the same for one container."""
    return 1 + int(container.id[:8], 16) % 32


def _cpu(container: Container, now: int) -> Document:
    used = max(0, now - container.started_at) * _share(container) // 100
    kernel = used // 4
    return {
        "cpu_usage": {"total_usage": used, "usage_in_kernelmode": kernel, "usage_in_usermode": used - kernel},
        "system_cpu_usage": now * CPUS // _TICK_NS * _TICK_NS,
        "online_cpus": CPUS,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def _memory(container: Container, ran: int) -> Document:
    anon = _share(container) * _MIB
    cache = min(64 * _MIB, ran // NANOSECONDS * 4096)
    return {
        "usage": anon + cache,
        "stats": {
            "active_anon": 0,
            "active_file": cache // 2,
            "anon": anon,
            "file": cache,
            "file_mapped": cache // 4,
            "inactive_anon": anon,
            "inactive_file": cache - cache // 2,
            "pgfault": 1000 + ran // NANOSECONDS,
            "pgmajfault": 3,
        },
        "limit": HOST_MEMORY_BYTES,
    }


def _interface(container: Container, ran: int) -> Document:
    packets = ran // NANOSECONDS * _share(container)
    counts = {"bytes": packets * 600, "packets": packets, "errors": 0, "dropped": 0}
    return {f"{way}_{name}": count for way in ("rx", "tx") for name, count in counts.items()}


def _disks(container: Container | None) -> Document:
    entries = None
    if container is not None:
        counts = (("read", _share(container) * _MIB), ("write", _share(container) * 4096))
        entries = [{"major": 8, "minor": 0, "op": operation, "value": value} for operation, value in counts]
    others = ("serviced", "queue", "service_time", "wait_time", "merged", "time")
    tables: Document = {f"io_{name}_recursive": None for name in others} | {"sectors_recursive": None}
    return {"io_service_bytes_recursive": entries} | tables
