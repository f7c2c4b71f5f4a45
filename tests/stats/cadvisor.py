"""cAdvisor's metrics of containers, as its lib/metrics/prometheus.go declares them: kind, labels of their own."""

from __future__ import annotations

from typing import Final

#: On every series; `container_label_…` besides.
COMMON: Final = {"id", "name", "image"}

COUNTERS: Final[dict[str, set[str]]] = {
    "container_cpu_usage_seconds_total": {"cpu"},
    "container_cpu_user_seconds_total": set(),
    "container_cpu_system_seconds_total": set(),
    "container_cpu_cfs_periods_total": set(),
    "container_cpu_cfs_throttled_periods_total": set(),
    "container_cpu_cfs_throttled_seconds_total": set(),
    "container_memory_failcnt": set(),
    "container_memory_failures_total": {"failure_type", "scope"},
    "container_network_receive_bytes_total": {"interface"},
    "container_network_receive_packets_total": {"interface"},
    "container_network_receive_packets_dropped_total": {"interface"},
    "container_network_receive_errors_total": {"interface"},
    "container_network_transmit_bytes_total": {"interface"},
    "container_network_transmit_packets_total": {"interface"},
    "container_network_transmit_packets_dropped_total": {"interface"},
    "container_network_transmit_errors_total": {"interface"},
    "container_fs_reads_bytes_total": {"device"},
    "container_fs_reads_total": {"device"},
    "container_fs_writes_bytes_total": {"device"},
    "container_fs_writes_total": {"device"},
    "container_blkio_device_usage_total": {"device", "major", "minor", "operation"},
}
GAUGES: Final[dict[str, set[str]]] = {
    name: set()
    for name in (
        "container_last_seen",
        "container_health_state",
        "container_start_time_seconds",
        "container_creation_time_seconds",
        "container_memory_cache",
        "container_memory_rss",
        "container_memory_swap",
        "container_memory_mapped_file",
        "container_memory_usage_bytes",
        "container_memory_max_usage_bytes",
        "container_memory_working_set_bytes",
        "container_memory_total_active_file_bytes",
        "container_memory_total_inactive_file_bytes",
        "container_threads",
        "container_threads_max",
        "container_spec_cpu_period",
        "container_spec_cpu_quota",
        "container_spec_cpu_shares",
        "container_spec_memory_limit_bytes",
        "container_spec_memory_swap_limit_bytes",
        "container_spec_memory_reservation_limit_bytes",
    )
}
#: Its counter whose name does not end in `_total`: Prometheus's library for Python writes it as untyped.
UNTYPED: Final = {"container_memory_failcnt"}
