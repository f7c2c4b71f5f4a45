"""What was measured, and how it is shown: a table for people, JSON for machines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.terminal import columns

MiB = 1 << 20
PEERS = (
    "Peers doing the same work (500,000 lines, Engine 28.5, 2 cores) ON ANOTHER MACHINE:",
    "  Logspout 3.2.14    9-14 µs/line with 1 output, 22.8 with 3;  32-40 k lines/s;  16 MiB",
    "  Fluent Bit 5.1.1   7.5 µs/line with 1 output, 14.1 with 3;   54-83 k lines/s;  45-62 MiB",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One flow of `lines` lines.

    seconds      from the first line delivered to the last, over all sinks
    cpu_seconds  of the agent, user and system
    peak_bytes   resident, at the most
    delivered    lines by sink; `distinct` ones: less than `lines` is a loss
    """

    engine: str
    way: str
    sinks: tuple[str, ...]
    lines: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    delivered: Mapping[str, int]
    distinct: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Lines per second."""
        return self.lines / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_us(self) -> float:
        """The agent's CPU time for one line, µs."""
        return self.cpu_seconds / self.lines * 1e6

    @property
    def share(self) -> float:
        """Of the lines, how many the worst sink got, 0 … 1."""
        return min(self.distinct.values(), default=0) / self.lines

    @property
    def repeated(self) -> int:
        """How many lines came more than once."""
        return sum(self.delivered.values()) - sum(self.distinct.values())


@dataclass(frozen=True, slots=True)
class Rest:
    """An agent that follows containers which write nothing; startup is until every one is followed."""

    engine: str
    containers: int
    startup_seconds: float
    startup_cpu_seconds: float
    rss_bytes: int
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class Results:
    """All of one benchmark. `curl`: lines/s of curl by Engine and way; `demultiplexing_us`: the yardstick."""

    line_bytes: int
    demultiplexing_us: float
    curl: Mapping[tuple[str, str], float]
    runs: Sequence[Run]
    rests: Sequence[Rest]

    def to_json(self) -> dict[str, Any]:
        """Everything, and the figures made of it."""
        return {
            "line_bytes": self.line_bytes,
            "demultiplexing_us": self.demultiplexing_us,
            "curl": [
                {"engine": engine, "way": way, "lines_per_s": rate}
                for (engine, way), rate in self.curl.items()
            ],
            "runs": [
                asdict(run)
                | {
                    "lines_per_s": run.rate,
                    "cpu_us_per_line": run.cpu_us,
                    "delivered_share": run.share,
                    "repeated": run.repeated,
                    "demultiplexings_per_line": run.cpu_us / self.demultiplexing_us,
                    "of_curl": self.of_curl(run),
                }
                for run in self.runs
            ],
            "rests": [asdict(rest) for rest in self.rests],
        }

    def of_curl(self, run: Run) -> float | None:
        """The run's lines/s as a share of curl's; None where curl did not run."""
        rate = self.curl.get((run.engine, run.way))
        return run.rate / rate if rate else None

    @property
    def lossless(self) -> bool:
        """Every sink got every line, once."""
        return all(run.share == 1 and not run.repeated for run in self.runs)

    def table(self) -> Iterator[str]:
        """For a person."""
        yield f"Lines of {self.line_bytes} bytes, spool on disk. CPU: the agent's, user and system, of a line to all;"
        yield f"in demux: the same in units of plain demultiplexing here, {self.demultiplexing_us:.2f} µs a frame."
        yield "Of curl: lines/s against those of `curl -s -0`, which reads the same stream and throws it away."
        yield ""
        head = (
            "engine",
            "way",
            "sinks",
            "CPU",
            "in demux",
            "lines/s",
            "of curl",
            "peak",
            "delivered",
            "repeated",
        )
        yield from columns([head, *map(self._row, self.runs)])
        for rest in self.rests:
            yield ""
            yield (
                f"At rest, {rest.containers} containers, {rest.engine}: {rest.rss_bytes / MiB:.1f} MiB, "
                f"{rest.cpu_percent:.1f} % CPU; all followed {rest.startup_seconds:.2f} s after the start "
                f"({rest.startup_cpu_seconds:.2f} s of CPU)"
            )
        yield ""
        yield from PEERS

    def _row(self, run: Run) -> tuple[str, ...]:
        of_curl = self.of_curl(run)
        return (
            run.engine,
            run.way,
            " ".join(run.sinks),
            f"{run.cpu_us:.2f} µs",
            f"{run.cpu_us / self.demultiplexing_us:.1f}",
            f"{run.rate:,.0f}",
            "" if of_curl is None else f"{of_curl:.2f}",
            f"{run.peak_bytes / MiB:.0f} MiB",
            f"{run.share:.2%}",
            f"{run.repeated:,}",
        )
