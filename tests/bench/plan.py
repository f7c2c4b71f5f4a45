"""Which cases are measured, in which order, with how many lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.bench.cases import BARE, DOCKFERRY, LINE_BYTES, SINKS, Case

WAYS = ("attach", "logs")
#: Lines a second, where how long they are under way is measured; 0: a burst.
PACES = (10_000, 0)


@dataclass(frozen=True, slots=True)
class Scene:
    """Cases on so many containers, each in turn, in so many rounds."""

    containers: int
    cases: Sequence[Case]
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    lines, most_bytes  of one flow, at the most
    paced_s            how long lines are written at a pace
    rest_s             how long an agent at rest is watched
    idle, simulated    how many containers rest, on the real Engine and on the simulated one
    """

    lines: int
    rounds: int
    widths: Sequence[int]
    containers: Sequence[int]
    paced_s: int
    rest_s: int
    idle: int
    simulated: int
    paces: Sequence[int] = PACES
    most_bytes: int = 96_000_000

    def count(self, case: Case) -> int:
        """The lines of one run."""
        if case.pace:
            return case.pace * self.paced_s
        return min(self.lines, self.most_bytes // case.size)

    def flows(self, peers: Mapping[str, Sequence[int]]) -> Sequence[Scene]:
        """As fast as awk can: the base, widths, numbers of containers, and each peer with so many sinks."""
        plain: list[Case] = []
        for way in WAYS:
            plain += [case for width in self.widths for case in _pair(Case(DOCKFERRY, way, size=width))]
            plain += [Case(DOCKFERRY, way, SINKS[count]) for count in (3, 6)]
            plain.append(Case(DOCKFERRY, way, state="memory"))
        plain += [*_pair(Case(DOCKFERRY, "history")), Case(DOCKFERRY, "history", SINKS[3])]
        plain += [Case(peer, "", SINKS[count], "") for peer, counts in peers.items() for count in counts]
        many = [
            Scene(
                count,
                [case for way in WAYS for case in _pair(Case(DOCKFERRY, way, containers=count))],
                self.rounds,
            )
            for count in self.containers
            if count > 1
        ]
        return [Scene(1, plain, self.rounds), *many]

    def latencies(self) -> Scene:
        """Lines that say when they were written."""
        cases: list[Case] = []
        for pace in self.paces:
            for way in WAYS:
                hasty = Case(DOCKFERRY, way, pace=pace, batch_age="10ms")
                cases += [*_pair(hasty), replace(hasty, batch_age="")]
        return Scene(1, cases)

    def trickle(self, containers: int, *, simulated: bool) -> Scene:
        """A line a second of each."""
        slow = Case(DOCKFERRY, "", containers=containers, pace=containers, batch_age="", simulated=simulated)
        return Scene(containers, [replace(slow, way=way) for way in WAYS])


FULL = Plan(
    lines=200_000, rounds=3, widths=(80, 157, 1000, 16_000), containers=(1, 20, 200),
    paced_s=10, rest_s=30, idle=200, simulated=500,
)  # fmt: skip
QUICK = Plan(
    lines=100_000, rounds=1, widths=(LINE_BYTES, 1000), containers=(1, 20),
    paced_s=2, rest_s=3, idle=20, simulated=500, paces=PACES[:1],
)  # fmt: skip


def _pair(case: Case) -> tuple[Case, Case]:
    """With its limit, measured right before."""
    return case.limit(), case


def is_flow(case: Case) -> bool:
    """As fast as awk can: what a line costs."""
    return case.pace is None


def is_base(case: Case) -> bool:
    """One container's flow of ordinary lines."""
    return is_flow(case) and case.containers == 1 and case.size == LINE_BYTES


def is_bare(case: Case) -> bool:
    """The limit itself."""
    return case.reader == BARE
