"""What was measured, as people read it: Markdown, and pictures beside it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.bench import charts
from tests.bench.cases import BARE, DOCKFERRY, SINKS, Case, Rest, Run, Runs
from tests.bench.charts import Chart
from tests.bench.latency import Latency
from tests.bench.plan import PACES, WAYS, is_base, is_flow
from tests.bench.processes import Memory

MiB = 1 << 20
COST, SPEED, LATENCY = "cost.svg", "speed.svg", "latency.svg"
_WAYS = {"attach": "attached", "logs": "logs", "history": "history"}
_AGE = "default"


@dataclass(frozen=True, slots=True)
class Results:
    """All of one benchmark. `machine`: what it ran on; `demultiplexing_us`: a yardstick, of plain Python."""

    machine: str
    demultiplexing_us: float
    runs: Sequence[Run]
    rests: Sequence[Rest]

    def to_json(self) -> dict[str, Any]:
        """Everything, and the medians of each case."""
        runs = Runs(self.runs)
        return asdict(self) | {
            "medians": [
                {
                    "case": asdict(case),
                    "runs": len(found),
                    "lines_per_s": runs.median(case, lambda run: run.rate),
                    "cpu_us_per_line": runs.median(case, lambda run: run.cpu_us),
                    "cpu_of_bare": runs.of_limit(case, lambda run: run.cpu_us),
                    "rate_of_bare": runs.of_limit(case, lambda run: run.rate),
                    "delivered_share": min(run.share for run in found),
                    "repeated": max(run.repeated for run in found),
                    "latency_ms": runs.latency(case),
                }
                for case, found in runs.by_case.items()
            ]
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Results:
        """What `to_json` made. Raises KeyError, TypeError for anything else."""
        runs = [
            Run(
                **run
                | {
                    "case": Case(**run["case"] | {"sinks": tuple(run["case"]["sinks"])}),
                    "memory": Memory(**run["memory"]),
                    "latency": Latency(**run["latency"]) if run["latency"] else None,
                }
            )
            for run in saved["runs"]
        ]
        rests = [Rest(**rest | {"memory": Memory(**rest["memory"])}) for rest in saved["rests"]]
        return cls(saved["machine"], saved["demultiplexing_us"], runs, rests)

    @property
    def whole(self) -> bool:
        """Every sink got every line, once: the agent's."""
        return all(run.whole for run in self.runs if run.case.reader == DOCKFERRY)


def markdown(results: Results, *, images: str = "") -> Iterator[str]:
    """The report. `images`: the folder of its pictures, as a link names it; empty: without."""
    runs = Runs(results.runs)
    rounds = max(map(len, runs.by_case.values()), default=0)
    yield f"{results.machine}; medians of {rounds} round{'s' * (rounds != 1)}, of memory the most."
    yield f"Taking a frame of 150 bytes apart in a plain Python loop costs {results.demultiplexing_us:.2f} µs there."
    yield ""
    sections: Sequence[tuple[str, str, Callable[[Runs], Iterator[str]]]] = (
        ("One container, as fast as it can write", SPEED, _base),
        ("The same by width, number of containers, number of sinks", COST, _curves),
        ("How long a line is under way", LATENCY, _latencies),
    )
    for title, image, section in sections:
        if lines := list(section(runs)):
            yield from (f"### {title}", "")
            if images:
                yield from (f"![{title}]({images}/{image})", "")
            yield from (*lines, "")
    yield from ("### At rest", "")
    yield from _rests(runs, results.rests)


def pictures(results: Results) -> Mapping[str, str]:
    """SVG by file name."""
    runs = Runs(results.runs)
    return {
        COST: charts.lines(_cost_charts(runs)),
        SPEED: charts.bars(_speed(runs)),
        LATENCY: charts.dots(_dots(runs)),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """In Markdown, readable as it is, too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(cells)} |"


def _base(runs: Runs) -> Iterator[str]:
    """What one container's lines cost each reader."""
    head = ["", "CPU per line", "bare = 1", "lines/s", "bare = 1", "delivered", "RSS", "PSS", "anonymous"]
    yield from table(head, [[_named(case), *_figures(runs, case)] for case in runs.chosen(is_base)])


def _figures(runs: Runs, case: Case) -> Iterator[str]:
    found = runs.by_case[case]
    cpu, rate = runs.of_limit(case, lambda run: run.cpu_us), runs.of_limit(case, lambda run: run.rate)
    repeated = max(run.repeated for run in found)
    yield f"{runs.median(case, lambda run: run.cpu_us):.2f} µs"
    yield "" if cpu is None else f"{cpu:.1f}"
    yield f"{runs.median(case, lambda run: run.rate) / 1000:,.0f} k"
    yield "" if rate is None else f"{rate:.2f}"
    yield _share(min(run.share for run in found)) + (f", {repeated:,} twice" if repeated else "")
    for name in ("rss", "pss", "anonymous"):
        yield f"{max(getattr(run.memory, name) for run in found) / MiB:.0f} MiB"


def _share(share: float) -> str:
    return "all" if share == 1 else f"{share:.2%}"


def _named(case: Case) -> str:
    sinks = f", {', '.join(case.sinks)}" if case.sinks else ""
    return f"{case.reader}{', ' if case.way else ''}{_WAYS.get(case.way, case.way)}{sinks}" + (
        ", spool in memory" if case.state == "memory" else ""
    )


def _curves(runs: Runs) -> Iterator[str]:
    """µs a line along each axis."""
    for number, chart in enumerate(_cost_charts(runs)):
        rows = [
            [name, *("" if value is None else f"{value:.2f}" for value in values)]
            for name, values in chart.values.items()
        ]
        if number:
            yield ""
        yield from table([chart.title, *chart.places], rows)


def _cost_charts(runs: Runs) -> Sequence[Chart]:
    flows = runs.chosen(is_flow)
    sizes = sorted({case.size for case in flows})
    counts = sorted({case.containers for case in flows})
    sinks = sorted({len(case.sinks) for case in flows if case.reader == DOCKFERRY})

    def chart(
        title: str, places: Sequence[int], at: Callable[[Case, int], Case], *, tens: bool = False
    ) -> Chart:
        values = {}
        for way in WAYS:
            ours = Case(DOCKFERRY, way)
            for name, base in (
                (f"Dockferry, {_WAYS[way]}", ours),
                (f"bare reader, {_WAYS[way]}", ours.limit()),
            ):
                cases = [at(base, place) for place in places]
                values[name] = [
                    runs.median(case, lambda run: run.cpu_us) if case in runs.by_case else None
                    for case in cases
                ]
        shown = {name: each for name, each in values.items() if any(value is not None for value in each)}
        return Chart(title, [f"{place:,}" for place in places], shown, tens)

    return (
        chart("µs a line, by containers", counts, lambda case, count: replace(case, containers=count)),
        chart("by sinks", sinks, lambda case, count: replace(case, sinks=case.sinks and SINKS[count])),
        chart("by bytes of a line", sizes, lambda case, size: replace(case, size=size), tens=True),
    )


def _speed(runs: Runs) -> Chart:
    cases = runs.chosen(is_base)
    rates = [runs.median(case, lambda run: run.rate) for case in cases]
    readers = sorted(
        {case.reader for case in cases}, key=lambda each: (each != DOCKFERRY, each != BARE, each)
    )
    values = {
        reader: [rate if case.reader == reader else None for case, rate in zip(cases, rates, strict=True)]
        for reader in readers
    }
    return Chart("lines a second, one container", [_named(case) for case in cases], values)


def _latencies(runs: Runs) -> Iterator[str]:
    """From write to receipt."""
    cases = _paced(runs)
    rows = []
    for case in cases:
        latency = runs.latency(case)
        if latency:
            figures = [f"{each:,.1f} ms" for each in (latency.p50, latency.p99, latency.p999, latency.most)]
            rows.append([_pace(case), *figures, _share(min(run.share for run in runs.by_case[case]))])
    if rows:
        yield from table(["", "half within", "99 %", "99.9 %", "all", "delivered"], rows)


def _paced(runs: Runs) -> Sequence[Case]:
    return runs.chosen(lambda case: case.pace in PACES and case.containers == 1)


def _pace(case: Case) -> str:
    pace = f"{case.pace:,}/s" if case.pace else "burst"
    age = f", batch_age {case.batch_age or _AGE}" if case.reader == DOCKFERRY else ""
    return f"{pace}: {case.reader}, {_WAYS[case.way]}{age}"


def _dots(runs: Runs) -> Chart:
    cases = [case for case in _paced(runs) if runs.latency(case)]
    latencies = [latency for case in cases if (latency := runs.latency(case))]
    values = {
        "half": [each.p50 for each in latencies],
        "99 %": [each.p99 for each in latencies],
        "99.9 %": [each.p999 for each in latencies],
    }
    return Chart("ms from a line's write to its receipt", [_pace(case) for case in cases], values, tens=True)


def _rests(runs: Runs, rests: Sequence[Rest]) -> Iterator[str]:
    """Containers that write nothing, or next to nothing."""
    rows = [
        [
            rest.engine,
            f"{rest.containers:,} idle",
            f"{rest.cpu_percent:.2f} % of a core, {rest.seconds:.0f} s",
            f"{rest.startup_seconds:.2f} s ({rest.startup_cpu_seconds:.2f} s of CPU)",
            *(f"{each / MiB:.0f} MiB" for each in (rest.memory.rss, rest.memory.pss, rest.memory.anonymous)),
        ]
        for rest in rests
    ]
    yield from table(["", "containers", "CPU", "start to the last stream", "RSS", "PSS", "anonymous"], rows)
    trickles = runs.chosen(lambda case: case.pace is not None and case.containers > 1)
    rows = []
    for case in trickles:
        latency = runs.latency(case)
        if latency:
            busy = runs.median(case, lambda run: run.cpu_us * (run.case.pace or 0) / 1e4)
            rows.append(
                [
                    f"{'simulated, ' * case.simulated}{case.containers:,} containers, {_WAYS[case.way]}",
                    f"{busy:.1f} % of a core",
                    *(f"{each:,.0f} ms" for each in (latency.p50, latency.p99, latency.most)),
                    _share(min(run.share for run in runs.by_case[case])),
                ]
            )
    if rows:
        head = [
            "a line a second of each, `batch_age` at its default of 1 s",
            "CPU",
            "half within",
            "99 %",
            "all",
        ]
        yield ""
        yield from table([*head, "delivered"], rows)
