"""What `docker stats` shows, computed as it computes it. Sans-I/O.

Source: docker/cli, cli/command/container/stats_helpers.go (calculateCPUPercentUnix, calculateMemUsageUnixNoCache,
calculateBlockIO, calculateNetwork). Shares are parts of 1: `docker stats` shows them times 100.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.stats.sample import Cpu, Interface, Io, Memory, Traffic


def cpu_share(before: Cpu, now: Cpu) -> float:
    """CPU time used between two samples; 1 is one CPU, so that it may be as much as there are CPUs."""
    return _share(now.total - before.total, before, now)


def user_share(before: Cpu, now: Cpu) -> float:
    """The part of `cpu_share` that was not in the kernel."""
    return _share(now.user - before.user, before, now)


def kernel_share(before: Cpu, now: Cpu) -> float:
    """The part of `cpu_share` that was in the kernel."""
    return _share(now.kernel - before.kernel, before, now)


def each_share(before: Cpu, now: Cpu) -> list[float]:
    """`cpu_share` by CPU; nothing where the kernel does not say, or their number changed."""
    if len(before.each) != len(now.each):
        return []
    return [
        _share(after - earlier, before, now) for earlier, after in zip(before.each, now.each, strict=True)
    ]


def _share(used: int, before: Cpu, now: Cpu) -> float:
    given = now.host - before.host
    return used / given * now.online if used > 0 and given > 0 else 0.0


def memory_used(memory: Memory) -> int:
    """Bytes in use without the page cache that could be dropped at once."""
    for name in ("total_inactive_file", "inactive_file"):  # v1, then v2
        inactive = memory.stats.get(name, 0)
        if name in memory.stats and inactive < memory.usage:
            return memory.usage - inactive
    return memory.usage


def memory_share(memory: Memory) -> float:
    """`memory_used` as a part of the limit."""
    return memory_used(memory) / memory.limit if memory.limit else 0.0


def working_set(memory: Memory) -> int:
    """Bytes that cAdvisor and Kubernetes call so (lib/container/libcontainer/handler.go, setMemoryStats)."""
    return max(0, memory.usage - (memory.stat("inactive_file", "inactive_file") or 0))


def traffic(interfaces: Iterable[Interface]) -> tuple[Traffic, Traffic]:
    """What all interfaces received, and sent."""
    found = list(interfaces)
    return _sum(each.received for each in found), _sum(each.sent for each in found)


def _sum(ways: Iterable[Traffic]) -> Traffic:
    columns = list(
        zip(*((each.bytes, each.packets, each.errors, each.dropped) for each in ways), strict=True)
    )
    return Traffic(*map(sum, columns))


def io_sum(table: Iterable[Io], operation: str) -> int:
    """The sum of one operation over all devices."""
    return sum(entry.value for entry in table if entry.operation == operation)
