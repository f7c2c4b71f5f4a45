"""The gate fails for what has become worse, by whichever way a figure is read."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from tests.bench import gate
from tests.bench.cases import Case, Run
from tests.bench.gate import FIGURES, Figure, Round, compared, figures, judged
from tests.bench.processes import Memory


def rounds(cpu_us: float = 4.0, seconds: float = 0.5, mib: int = 50) -> list[Round]:
    """Three alike, of 1,000 lines each; the bare reader takes 0.25 s, a frame 0.2 µs."""

    def run(case: Case, cpu_us: float, seconds: float) -> Run:
        sinks = max(len(case.sinks), 1)
        return Run(case, 1000, seconds, cpu_us / 1000, Memory(0, 0, mib << 20), 1000 * sinks, 1000)

    each = [run(gate._LIMIT, 2, 0.25), *(run(case, cpu_us, seconds) for case in gate._CASES)]
    return [Round(0.2, each)] * 3


KEPT = gate._plain(figures(rounds()))


def test_figures_are_ratios_to_what_the_machine_can_do() -> None:
    assert KEPT["logs, 1 sink"] == {
        "CPU, in frames": 20,
        "speed, bare = 1": 0.5,
        "anonymous, MiB": 50,
    }


def test_what_is_the_same_passes() -> None:
    """And what is better, or worse by less than the margin."""
    assert judged(figures(rounds()), KEPT) == 0
    assert judged(figures(rounds(cpu_us=2.0, seconds=0.3, mib=20)), KEPT) == 0
    assert judged(figures(rounds(cpu_us=4.5, seconds=0.56, mib=57)), KEPT) == 0


@pytest.mark.parametrize("worse", [{"cpu_us": 4.7}, {"seconds": 0.6}, {"mib": 60}])
def test_what_is_worse_fails_and_is_named(
    worse: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    found = figures(rounds(**worse))  # type: ignore[arg-type] # one of three
    assert judged(found, KEPT) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if "TOO MUCH" in line]
    assert len(said) == len(gate._CASES)
    assert len({line.split("  ")[0] for line in said}) == len(gate._CASES)


def test_a_machine_twice_as_slow_is_no_worse() -> None:
    """The yardsticks are slower there, too."""
    slow = [
        Round(
            2 * each.demultiplexing_us,
            [
                dataclasses.replace(run, cpu_seconds=2 * run.cpu_seconds, seconds=2 * run.seconds)
                for run in each.runs
            ],
        )
        for each in rounds()
    ]
    assert judged(figures(slow), KEPT) == 0


def test_one_round_of_many_does_not_decide() -> None:
    assert Figure("CPU", [1.0, 1.0, 9.0, 1.0, 0.9]).worse_than(1.0) == 0
    assert Figure("CPU", [1.0, 1.0, 9.0, 1.0, 0.9]).spread == 0


def test_slower_is_worse_where_more_is_better() -> None:
    assert Figure("speed", [0.5], more=True).worse_than(1.0) == 1
    assert Figure("speed", [2.0], more=True).worse_than(1.0) == -0.5


def test_nothing_to_compare_with_is_a_failure() -> None:
    """Cases may have been renamed."""
    assert judged(figures(rounds()), {"another": {"CPU": 1.0}}) == 1


def test_the_figures_kept_are_those_that_are_measured() -> None:
    kept = orjson.loads(FIGURES.read_bytes())["figures"]
    found = figures(rounds())
    assert len(list(compared(found, kept))) == sum(map(len, found.values())) == sum(map(len, kept.values()))
