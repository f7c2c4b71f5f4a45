"""What inspect and the list say of limits, state and health."""

from __future__ import annotations

import pytest

from agent.stats.limits import Condition, Limits, condition_of, limits_of


@pytest.mark.parametrize(
    ("host", "limits"),
    [
        ({}, Limits()),
        ({"NanoCpus": 500_000_000, "CpuQuota": 0, "CpuPeriod": 0}, Limits(cpu_quota=50_000)),  # --cpus 0.5
        ({"CpuQuota": 20_000, "CpuPeriod": 40_000}, Limits(cpu_period=40_000, cpu_quota=20_000)),
        ({"CpuQuota": -1}, Limits()),
        ({"CpuShares": 512}, Limits(cpu_shares=512)),
        (
            {"Memory": 64 << 20, "MemorySwap": 128 << 20, "MemoryReservation": 32 << 20},
            Limits(memory=64 << 20, memory_and_swap=128 << 20, memory_reservation=32 << 20),
        ),
        ({"Memory": 64 << 20, "MemorySwap": -1}, Limits(memory=64 << 20)),
    ],
)
def test_limits_are_those_of_the_kernel(host: dict[str, int], limits: Limits) -> None:
    """0 and -1 stand for its defaults."""
    assert limits_of({"HostConfig": host, "State": {}}) == limits


def test_an_end_for_want_of_memory_is_told() -> None:
    """By the state; an answer without any says nothing."""
    assert limits_of({"State": {"OOMKilled": True}}).out_of_memory
    assert limits_of({}) == Limits()


@pytest.mark.parametrize(
    ("state", "status", "health"),
    [
        ("running", "Up 6 seconds", ""),
        ("running", "Up 5 minutes (healthy)", "healthy"),
        ("running", "Up 5 minutes (unhealthy)", "unhealthy"),
        ("running", "Up 2 seconds (health: starting)", "starting"),
        ("paused", "Up 6 seconds (Paused)", ""),
        ("exited", "Exited (3) 6 seconds ago", ""),
    ],
)
def test_health_stands_in_the_words_of_the_list(state: str, status: str, health: str) -> None:
    """As Engine 20.10 to 28.5 write them (moby container/health.go, State.String)."""
    assert condition_of({"State": state, "Status": status}) == Condition(state, health)


def test_an_entry_without_words_is_no_error() -> None:
    """Podman leaves out more than moby."""
    assert condition_of({}) == Condition("", "")
