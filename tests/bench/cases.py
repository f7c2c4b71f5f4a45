"""What the benchmark measures, and what it measured of it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from tests.bench.latency import Latency
from tests.bench.processes import Memory

BARE, DOCKFERRY = "bare reader", "Dockferry"
LINE_BYTES = 157
#: The sinks that so many are.
SINKS: Mapping[int, tuple[str, ...]] = {
    1: ("tcp",),
    3: ("tcp", "loki", "file"),
    6: ("tcp", "loki", "file", "http", "otlp", "gelf"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    reader     who reads the containers: BARE, DOCKFERRY or a peer's name and version
    way        how: `attach`, `logs` as they are written, `history` when they are there already; of a peer: its own
    state      where the spool is: `disk` or `memory`
    pace       None: as fast as awk can; else lines that say when they were written: so many a second of all
               containers together, or with 0 as fast as they are taken
    batch_age  of the sinks; empty: their default
    simulated  whether the Engine is
    """

    reader: str
    way: str
    sinks: tuple[str, ...] = SINKS[1]
    state: str = "disk"
    containers: int = 1
    size: int = LINE_BYTES
    pace: int | None = None
    batch_age: str = "100ms"
    simulated: bool = False

    def limit(self) -> Case:
        """The bare reader's in its place."""
        way = self.way if self.way in ("attach", "history") else "logs"
        return replace(self, reader=BARE, way=way, sinks=(), state="", batch_age="")

    def __str__(self) -> str:
        paced = "" if self.pace is None else f", {self.pace:,} lines/s" if self.pace else ", full speed"
        parts = [self.reader, self.way, f"{len(self.sinks)} sinks", self.state, self.batch_age]
        return f"{' '.join(filter(None, parts))}, {self.containers} of {self.size} bytes{paced}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a case, with `lines` lines.

    seconds      from the first line delivered to the last, over all sinks
    cpu_seconds  of the reader, user and system
    memory       the most it had
    delivered    lines of the sinks together; `distinct` ones of the sink that got fewest
    """

    case: Case
    lines: int
    seconds: float
    cpu_seconds: float
    memory: Memory
    delivered: int
    distinct: int
    latency: Latency | None = None

    @property
    def rate(self) -> float:
        """Lines per second."""
        return self.lines / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_us(self) -> float:
        """The reader's CPU time for one line, µs."""
        return self.cpu_seconds / self.lines * 1e6

    @property
    def share(self) -> float:
        """Of the lines, how many the worst sink got, 0 … 1."""
        return self.distinct / self.lines

    @property
    def repeated(self) -> int:
        """How many came more than once, at the least."""
        return max(self.delivered - max(len(self.case.sinks), 1) * self.lines, 0)

    @property
    def whole(self) -> bool:
        """Every sink got every line, once."""
        return self.share == 1 and not self.repeated


@dataclass(frozen=True, slots=True)
class Rest:
    """An agent that follows containers which write nothing; startup is until every one is followed."""

    engine: str
    containers: int
    startup_seconds: float
    startup_cpu_seconds: float
    memory: Memory
    cpu_percent: float
    seconds: float


class Runs:
    """All runs, and the medians of each case's."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.by_case: dict[Case, list[Run]] = {}
        for run in runs:
            self.add(run)

    def add(self, run: Run) -> None:
        self.by_case.setdefault(run.case, []).append(run)

    def __bool__(self) -> bool:
        return bool(self.by_case)

    def median(self, case: Case, of: Callable[[Run], float]) -> float:
        """KeyError when the case was not measured."""
        return statistics.median(map(of, self.by_case[case]))

    def latency(self, case: Case) -> Latency | None:
        """The medians of each percentile."""
        found = [run.latency for run in self.by_case[case] if run.latency]
        if not found:
            return None
        names = [field.name for field in fields(Latency)]
        return Latency(*(statistics.median(getattr(each, name) for each in found) for name in names))

    def of_limit(self, case: Case, of: Callable[[Run], float]) -> float | None:
        """A figure of the case as a multiple of the bare reader's; None where there is none."""
        limit = case.limit()
        if case.reader == BARE or limit not in self.by_case:
            return None
        least = self.median(limit, of)
        return self.median(case, of) / least if least else None

    def chosen(self, which: Callable[[Case], bool]) -> Sequence[Case]:
        """The cases of a kind, in the order they were measured in."""
        return [case for case in self.by_case if which(case)]
