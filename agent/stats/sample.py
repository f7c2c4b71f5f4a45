"""What a container used up to one moment: an answer of `/containers/{id}/stats` as values. Sans-I/O.

Shapes are moby's `api/types/container` (stats.go). Hosts with cgroup v2 leave out the share of each CPU, the
highest memory usage, and of the disks all but bytes; a host's or another container's network leaves out the
networks; Podman leaves out more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from agent.engine.containers import time_ns

#: What a kernel says where there is no limit is as large as its page counter goes.
_UNLIMITED: Final = 1 << 62
#: Podman's refusal, in an answer of status 200.
_PODMAN_STOPPED: Final = "container is stopped"


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time in ns since the container's start. `host` is what all CPUs of the host had to give meanwhile.

    each       by CPU; empty where the kernel does not say
    periods    of the quota: how many there were, and in how many of them the container was throttled
    throttled  for so many ns
    """

    total: int
    user: int
    kernel: int
    host: int
    online: int
    each: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `stats` is the kernel's memory.stat, whose names differ between cgroup v1 and v2.

    limit      the host's memory where none is set
    highest    the most there ever was; None: the kernel does not say (v2)
    failures   how often the limit was hit (v1), how often memory ran out (v2); moby leaves 0 out
    """

    usage: int
    limit: int
    highest: int | None = None
    failures: int = 0
    stats: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_v1(self) -> bool:
        """Whether cgroup v1 counted: only there the sums of a hierarchy have names of their own."""
        return "total_inactive_file" in self.stats or "total_rss" in self.stats

    def stat(self, v1: str, v2: str) -> int | None:
        """One of `stats`, by its name in each; in v1 of the whole hierarchy where that is told apart."""
        if self.is_v1:
            return self.stats.get(f"total_{v1}", self.stats.get(v1))
        return self.stats.get(v2)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through one network interface, in one direction."""

    bytes: int = 0
    packets: int = 0
    errors: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the container."""

    received: Traffic
    sent: Traffic


@dataclass(frozen=True, slots=True)
class Io:
    """A count of one operation (`Read`, `Write`, `Sync` …) on one block device."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class Disks:
    """The tables of block devices, over the container's whole life. With cgroup v2 there are only `bytes`."""

    bytes: tuple[Io, ...] = ()
    operations: tuple[Io, ...] = ()
    queued: tuple[Io, ...] = ()
    service_ns: tuple[Io, ...] = ()
    wait_ns: tuple[Io, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer. `read_ns` is the Engine's time, ns since the epoch. What it did not say is None or empty.

    threads_limit  0: none is set
    """

    read_ns: int
    cpu: Cpu
    memory: Memory | None
    threads: int | None
    threads_limit: int
    interfaces: Mapping[str, Interface]
    disks: Disks


def sample_of(answer: bytes) -> Sample | None:
    """The sample in an answer; None: the container does not run. Raises ValueError for what is no answer."""
    try:
        found = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    try:
        return _sample(found)
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"not of the shape that moby gives: {error!r}") from error


def _sample(found: Mapping[str, Any]) -> Sample | None:
    if found.get("cause") == _PODMAN_STOPPED:
        return None
    read_ns = time_ns(found["read"])
    usage = found["cpu_stats"].get("cpu_usage") or {}
    if not read_ns or not usage:
        return None
    processes = found.get("pids_stats") or {}
    return Sample(
        read_ns=read_ns,
        cpu=_cpu(found["cpu_stats"], usage),
        memory=_memory(found.get("memory_stats") or {}),
        threads=_number(processes, "current") if "current" in processes else None,
        threads_limit=_limit(_number(processes, "limit")),
        interfaces={name: _interface(each) for name, each in (found.get("networks") or {}).items()},
        disks=_disks(found.get("blkio_stats") or {}),
    )


def _cpu(stats: Mapping[str, Any], usage: Mapping[str, Any]) -> Cpu:
    throttling = stats.get("throttling_data") or {}
    each = tuple(map(_whole, usage.get("percpu_usage") or ()))
    return Cpu(
        total=_number(usage, "total_usage"),
        user=_number(usage, "usage_in_usermode"),
        kernel=_number(usage, "usage_in_kernelmode"),
        host=_number(stats, "system_cpu_usage"),
        online=_number(stats, "online_cpus") or len(each),
        each=each,
        periods=_number(throttling, "periods"),
        throttled_periods=_number(throttling, "throttled_periods"),
        throttled=_number(throttling, "throttled_time"),
    )


def _memory(stats: Mapping[str, Any]) -> Memory | None:
    if "usage" not in stats:
        return None
    return Memory(
        usage=_number(stats, "usage"),
        limit=_number(stats, "limit"),
        highest=_number(stats, "max_usage") or None,
        failures=_number(stats, "failcnt"),
        stats={name: _whole(value) for name, value in (stats.get("stats") or {}).items()},
    )


def _interface(found: Mapping[str, Any]) -> Interface:
    def traffic(way: str) -> Traffic:
        return Traffic(
            *(_number(found, f"{way}_{what}") for what in ("bytes", "packets", "errors", "dropped"))
        )

    return Interface(traffic("rx"), traffic("tx"))


def _disks(stats: Mapping[str, Any]) -> Disks:
    def table(name: str) -> tuple[Io, ...]:
        return tuple(_entries(stats.get(f"{name}_recursive") or ()))

    return Disks(
        bytes=table("io_service_bytes"),
        operations=table("io_serviced"),
        queued=table("io_queue"),
        service_ns=table("io_service_time"),
        wait_ns=table("io_wait_time"),
    )


def _entries(found: Iterable[Mapping[str, Any]]) -> Iterator[Io]:
    for each in found:
        # v2 writes "read" where v1, and cAdvisor, write "Read".
        operation = str(each.get("op") or "").capitalize()
        yield Io(_number(each, "major"), _number(each, "minor"), operation, _number(each, "value"))


def _limit(said: int) -> int:
    return said if said < _UNLIMITED else 0


def _number(found: Mapping[str, Any], name: str) -> int:
    return _whole(found.get(name) or 0)


def _whole(value: object) -> int:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return int(value)
