"""`python -m tests.bench.gate`: whether the agent has become dearer, slower or larger than the figures kept here.

They do not depend on how fast the machine is: CPU time as a multiple of what taking a frame apart in plain Python
costs, speed as a share of the bare reader's of `logs`, both of the same round, and memory. The bare reader's own CPU
time is no yardstick: it reads now much, now little at a time. The median of some rounds counts; what is worse by that
is measured in as many rounds again before it is believed. Exit status 1: something is, or a line was lost or
repeated; 2: others use the machine, so nothing was measured. `--update` keeps what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from agent.terminal import columns
from tests.bench.bench import Bench
from tests.bench.cases import DOCKFERRY, SINKS, Case, Run
from tests.bench.engines import real
from tests.bench.plan import QUICK, WAYS, Scene
from tests.bench.yardsticks import demultiplexing_us, machine, others
from tests.engine.dockerd import NoEngineError

FIGURES = Path(__file__).with_name("figures.json")
ROUNDS = 5
#: How much worse a figure may be.
MARGIN = 0.15
_CASES = tuple(Case(DOCKFERRY, way, SINKS[count]) for way in WAYS for count in (1, 3))
_LIMIT = Case(DOCKFERRY, "logs").limit()
#: Long enough for a speed: of fewer lines it differs by half from run to run.
_PLAN = replace(QUICK, lines=300_000)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a case, of each round; `more` is better, or less is."""

    name: str
    values: Sequence[float]
    more: bool = False

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """How far apart the middle half of the rounds is, as a share of the median; 0 of fewer than two."""
        if len(self.values) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return (third - first) / self.value

    def worse_than(self, kept: float) -> float:
        """By what share: 0.2 is a fifth worse, -0.2 a fifth better. Of a speed, how much longer a line takes."""
        return (kept / self.value if self.more else self.value / kept) - 1


@dataclass(frozen=True, slots=True)
class Round:
    """One run of each case, and the yardstick of that time."""

    demultiplexing_us: float
    runs: Sequence[Run]

    def run(self, case: Case) -> Run:
        return next(run for run in self.runs if run.case == case)


def figures(rounds: Sequence[Round]) -> Mapping[str, Sequence[Figure]]:
    """What is compared, by case."""
    found: dict[str, Sequence[Figure]] = {}
    for case in _CASES:
        pairs = [(each.run(case), each) for each in rounds]
        found[_named(case)] = [
            Figure("CPU, in frames", [run.cpu_us / each.demultiplexing_us for run, each in pairs]),
            Figure("speed, bare = 1", [run.rate / each.run(_LIMIT).rate for run, each in pairs], more=True),
            Figure("anonymous, MiB", [run.memory.anonymous / 2**20 for run, _ in pairs]),
        ]
    return found


def compared(
    found: Mapping[str, Sequence[Figure]], kept: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[str, Figure, float]]:
    """Every figure that is kept: whose, what it is now, and by what share it is worse."""
    for case, its in found.items():
        for figure in its:
            before = kept.get(case, {}).get(figure.name)
            if before:
                yield case, figure, figure.worse_than(before)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate", description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help=f"keep the figures in {FIGURES.name}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--busy", action="store_true", help="measure even where others use the machine")
    asked = parser.parse_args(argv)
    kept = {} if asked.update else orjson.loads(FIGURES.read_bytes())["figures"]
    if not asked.busy and (busy := others()):
        parser.exit(2, f"{busy}: no verdict; --busy measures all the same\n")
    try:
        about, rounds = asyncio.run(measure(asked.rounds, kept))
    except NoEngineError as error:
        parser.exit(1, f"no real Engine: {error}\n")
    if lossy := [run for each in rounds for run in each.runs if not run.whole]:
        print(*(f"{run.case}: {run.share:.2%} arrived, {run.repeated:,} twice" for run in lossy), sep="\n")
        return 1
    found = figures(rounds)
    if asked.update:
        saved = {"machine": about, "rounds": len(rounds), "figures": _plain(found)}
        FIGURES.write_bytes(orjson.dumps(saved, option=orjson.OPT_INDENT_2) + b"\n")
        print(f"kept in {FIGURES}")
        return 0
    return judged(found, kept)


def judged(found: Mapping[str, Sequence[Figure]], kept: Mapping[str, Mapping[str, float]]) -> int:
    """Print how each compares; the exit status."""
    rows = [("CASE", "FIGURE", "KEPT", "NOW", "SPREAD", "")]
    worst = 0.0
    for case, figure, worse in compared(found, kept):
        worst = max(worst, worse)
        verdict = f"{abs(worse):.0%} {'worse' if worse > 0 else 'better'}"
        mark = ", TOO MUCH" if worse > MARGIN else ""
        figures_shown = (f"{kept[case][figure.name]:.2f}", f"{figure.value:.2f}", f"{figure.spread:.0%}")
        rows.append((case, figure.name, *figures_shown, verdict + mark))
    print(*columns(rows), sep="\n")
    if len(rows) == 1:
        print("none of the figures kept is measured any more: keep new ones")
        return 1
    return 1 if worst > MARGIN else 0


async def measure(count: int, kept: Mapping[str, Mapping[str, float]]) -> tuple[str, Sequence[Round]]:
    """What it ran on, and all rounds: as many again when something looks worse than what is kept."""
    rounds: list[Round] = []
    async with real() as stage:
        while not rounds or (len(rounds) == count and _suspect(rounds, kept)):
            scene = Scene(1, [_LIMIT, *_CASES])
            rounds += [
                Round(demultiplexing_us(), await Bench(_PLAN, {}).play(stage, scene)) for _ in range(count)
            ]
        return machine(stage.name), rounds


def _suspect(rounds: Sequence[Round], kept: Mapping[str, Mapping[str, float]]) -> bool:
    return any(worse > MARGIN for _, _, worse in compared(figures(rounds), kept))


def _named(case: Case) -> str:
    return f"{case.way}, {len(case.sinks)} sink{'s' * (len(case.sinks) > 1)}"


def _plain(found: Mapping[str, Sequence[Figure]]) -> Mapping[str, Mapping[str, float]]:
    return {case: {figure.name: round(figure.value, 3) for figure in its} for case, its in found.items()}


if __name__ == "__main__":
    sys.exit(main())
