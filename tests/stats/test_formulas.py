"""`docker stats`, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.stats.formulas import (
    cpu_share,
    each_share,
    io_sum,
    kernel_share,
    memory_share,
    memory_used,
    traffic,
    user_share,
    working_set,
)
from agent.stats.sample import Cpu, Interface, Io, Memory, Traffic

BEFORE = Cpu(total=1_000, user=700, kernel=300, host=100_000, online=4, each=(400, 600))
NOW = Cpu(total=6_000, user=4_700, kernel=1_300, host=120_000, online=4, each=(2_400, 3_600))


def test_one_busy_cpu_is_one_however_many_there_are() -> None:
    """5,000 ns of 20,000 that four CPUs had: 25 % of all, which is one CPU."""
    assert cpu_share(BEFORE, NOW) == 1.0
    assert user_share(BEFORE, NOW) == 0.8
    assert kernel_share(BEFORE, NOW) == 0.2
    assert each_share(BEFORE, NOW) == [0.4, 0.6]


def test_counters_that_went_back_are_no_usage() -> None:
    """A restart; and a host that gave no time between two looks."""
    assert cpu_share(NOW, BEFORE) == 0.0
    assert cpu_share(BEFORE, replace(NOW, host=BEFORE.host)) == 0.0
    assert cpu_share(BEFORE, BEFORE) == 0.0


def test_the_shares_of_cpus_need_the_same_cpus() -> None:
    """One was switched off; cgroup v2 tells of none."""
    assert each_share(BEFORE, replace(NOW, each=(1,))) == []
    assert each_share(replace(BEFORE, each=()), replace(NOW, each=())) == []


@pytest.mark.parametrize(
    ("stats", "used"),
    [
        ({"total_inactive_file": 300, "inactive_file": 100}, 700),  # v1
        ({"inactive_file": 300}, 700),  # v2
        ({"total_inactive_file": 1000, "inactive_file": 100}, 900),  # as the CLI does: the next one that fits
        ({"inactive_file": 1000}, 1000),
        ({"cache": 300}, 1000),
        ({}, 1000),
    ],
)
def test_memory_in_use_leaves_out_what_could_be_dropped(stats: dict[str, int], used: int) -> None:
    """Where that is smaller than all of it."""
    memory = Memory(usage=1000, limit=4000, stats=stats)
    assert memory_used(memory) == used
    assert memory_share(memory) == used / 4000


def test_no_limit_is_no_share() -> None:
    """An Engine that says nothing of a limit."""
    assert memory_share(Memory(usage=1, limit=0)) == 0.0


def test_the_working_set_is_never_below_zero() -> None:
    """The page cache may be counted a moment later than the usage."""
    assert working_set(Memory(usage=1000, limit=0, stats={"inactive_file": 300})) == 700
    assert working_set(Memory(usage=1000, limit=0, stats={"inactive_file": 1300})) == 0
    assert working_set(Memory(usage=1000, limit=0)) == 1000


def test_traffic_is_that_of_all_interfaces() -> None:
    """And nothing is the sum of none."""
    one = Interface(Traffic(1, 2, 3, 4), Traffic(10, 20, 30, 40))
    assert traffic([one, one]) == (Traffic(2, 4, 6, 8), Traffic(20, 40, 60, 80))
    assert traffic([]) == (Traffic(), Traffic())


def test_only_one_operation_is_summed() -> None:
    """v1's table also has Sync, Async, Total of the same bytes."""
    table = [Io(8, 0, "Read", 1), Io(8, 16, "Read", 2), Io(8, 0, "Write", 4), Io(8, 0, "Total", 5)]
    assert (io_sum(table, "Read"), io_sum(table, "Write"), io_sum([], "Read")) == (3, 4, 0)
