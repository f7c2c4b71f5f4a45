"""What a container may use, and how it fares: answers of inspect and of the list as values. Sans-I/O.

Shapes are moby's `api/types/container` (config.go, hostconfig.go, state.go). What is 0 there is the kernel's default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_PERIOD_US: Final = 100_000
_SHARES: Final = 1024
_HEALTH: Final = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)$")


@dataclass(frozen=True, slots=True)
class Limits:
    """The CPU's period and quota in µs, and memory in bytes; quota 0 and memory 0: no limit is set.

    out_of_memory  the kernel ended its last run for want of memory
    """

    cpu_period: int = _PERIOD_US
    cpu_quota: int = 0
    cpu_shares: int = _SHARES
    memory: int = 0
    memory_and_swap: int = 0
    memory_reservation: int = 0
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """`state` as the Engine names it; `health` likewise, empty: it has no health check."""

    state: str
    health: str = ""


def limits_of(answer: Mapping[str, Any]) -> Limits:
    """The limits in an answer of `/containers/{id}/json`."""
    host = answer.get("HostConfig") or {}
    period = host.get("CpuPeriod") or _PERIOD_US
    return Limits(
        cpu_period=period,
        cpu_quota=max(0, host.get("CpuQuota") or 0) or (host.get("NanoCpus") or 0) * period // 1_000_000_000,
        cpu_shares=host.get("CpuShares") or _SHARES,
        memory=host.get("Memory") or 0,
        memory_and_swap=max(0, host.get("MemorySwap") or 0),
        memory_reservation=host.get("MemoryReservation") or 0,
        out_of_memory=bool((answer.get("State") or {}).get("OOMKilled")),
    )


def condition_of(entry: Mapping[str, Any]) -> Condition:
    """How a container fares, by its entry in an answer of `/containers/json`.

    Its health stands in the words of `Status` only, until API 1.52.
    """
    health = _HEALTH.search(entry.get("Status") or "")
    return Condition(str(entry.get("State") or ""), health[1] if health else "")
