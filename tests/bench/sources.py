"""`python -m tests.bench.sources [HOST …]`: what each way of reading loses, and what it costs the container.

One table for each Engine: the lines a container wrote that arrived, those that came twice, what the agent reported
as lost, and how much longer the container took than alone. HOST as in DOCKER_HOST; without one, the Engine that
answers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from docker.models.containers import Container

from agent.terminal import columns
from tests.engine.containers import RunContainer, numbered_lines
from tests.engine.dockerd import Engine, connected, provide
from tests.engine.shipping import Agent

WIDTH = 156
BURST = 300_000
MODES = ("logs", "attach")
_QUIET_S = 3.0
_LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the containers do, and what befalls the agent meanwhile.

    lines       each container writes
    containers  how many there are, all at once
    held        whether the time of the container is compared with its time alone
    """

    name: str
    script: str
    lines: int
    options: Mapping[str, str] = field(default_factory=dict)
    driver: str = "json-file"
    containers: int = 1
    remove: bool = False
    held: bool = False
    befall: Callable[[Agent], None] = lambda _agent: None


def _restart(agent: Agent) -> None:
    for _ in range(3):
        time.sleep(1.5)
        agent.kill()
        agent.start()


def _freeze(agent: Agent) -> None:
    time.sleep(0.3)
    os.kill(agent.process.pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(agent.process.pid, signal.SIGCONT)


def _paced(parts: int, count: int, pause_s: float) -> str:
    """Numbered lines in parts, with a pause behind each."""
    burst = f"awk -v n=$n 'BEGIN {{ for (i = 1; i <= {count}; i++) printf \"%0{WIDTH}d\\n\", n + i }}'"
    return f"n=0; while [ $n -lt {parts * count} ]; do {burst}; n=$((n+{count})); usleep {pause_s * 1e6:.0f}; done"


_BURST = numbered_lines(BURST, width=WIDTH)
_WHOLE = {"max-size": "1g"}
SCENARIOS = (
    Scenario("steady, 10,000 lines/s", _paced(100, 1000, 0.1), 100_000, _WHOLE),
    Scenario("burst, nothing rotates", _BURST, BURST, _WHOLE, held=True),
    Scenario("burst, 10m x 3", _BURST, BURST, {"max-size": "10m", "max-file": "3"}, held=True),
    Scenario("burst, 1m x 2", _BURST, BURST, {"max-size": "1m", "max-file": "2"}, held=True),
    Scenario(
        "burst, 10m x 3 compressed",
        _BURST,
        BURST,
        {"max-size": "10m", "max-file": "3", "compress": "true"},
        held=True,
    ),
    Scenario("burst, driver local", _BURST, BURST, {"max-size": "10m", "max-file": "3"}, "local", held=True),
    Scenario(
        "burst, driver fluentd (the Engine's cache)",
        _BURST,
        BURST,
        {"fluentd-async": "true", "fluentd-address": "127.0.0.1:5999", "mode": "non-blocking"},
        "fluentd",
        held=True,
    ),
    Scenario("burst, driver none", _BURST, BURST, {}, "none", held=True),
    Scenario("200 containers, 500 lines each", numbered_lines(500, width=WIDTH), 500, _WHOLE, containers=200),
    Scenario("50 with --rm, 20 lines each", numbered_lines(20, width=WIDTH), 20, containers=50, remove=True),
    Scenario("kill -9 three times, 50,000 lines/s", _paced(100, 5000, 0.1), 500_000, _WHOLE, befall=_restart),
    Scenario(
        "kill -9 three times, 10m x 3",
        _paced(100, 5000, 0.1),
        500_000,
        {"max-size": "10m", "max-file": "3"},
        befall=_restart,
    ),
    Scenario("frozen for 6 s (SIGSTOP), burst", _BURST, BURST, _WHOLE, held=True, befall=_freeze),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `reported`: how often the agent spoke of a loss; seconds of the container, and alone."""

    arrived: int
    twice: int
    wanted: int
    reported: int
    seconds: float = 0.0
    alone: float = 0.0

    def row(self) -> list[str]:
        """As cells of a table."""
        share = f"{100 * self.arrived / self.wanted:.1f} %" if self.arrived < self.wanted else "all"
        lost = "yes" if self.reported else "no"
        told = "-" if self.arrived >= self.wanted and not self.reported else lost
        slower = f"{self.seconds:.1f} s ({self.alone:.1f} s)" if self.alone else "-"
        return [share, str(self.twice), told, slower]


def main(hosts: Sequence[str]) -> int:
    """Measure on each of these Engines, and print a table."""
    for host in hosts or [""]:
        with _engine(host) as engine:
            rows = [["", "source", "arrived", "twice", "loss reported", "container took (alone)"]]
            for scenario in SCENARIOS:
                for mode in MODES if scenario.driver != "none" else MODES[1:]:
                    rows.append([scenario.name, mode, *_measure(engine, scenario, mode).row()])
                    print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
            print(f"\nEngine {'.'.join(map(str, engine.version))}", *columns(rows), sep="\n", flush=True)
    return 0


@contextmanager
def _engine(host: str) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="ferry") as directory:
        with connected(host or provide(directory)) as engine:
            yield engine
        if not host:
            provide("stop", directory)


def _measure(engine: Engine, scenario: Scenario, mode: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="ferry") as directory, RunContainer(engine.client) as run:
        alone_s = _seconds_of(_start(run, scenario)[0]) if scenario.held else 0.0
        path = Path(directory) / "out.ndjson"
        sinks = {"file": f"file://{path}?batch_age=100ms&rotate_bytes=0"}
        with (
            RunContainer(engine.client) as watched,
            Agent(
                engine.host,
                Path(directory),
                sinks,
                source=mode,
                include=f"label={watched.label}",
                spool_max_bytes="4GiB",
            ) as agent,
        ):
            made = _start(watched, scenario)
            scenario.befall(agent)
            seconds = _seconds_of(made[0]) if scenario.held else 0.0
            lines = _settled(path, scenario.lines * scenario.containers)
            agent.stop()
            said = agent.said()
    count = sum(lines.values())
    return Outcome(
        arrived=len(lines),
        twice=count - len(lines),
        wanted=scenario.lines * scenario.containers,
        reported=sum(" lost " in line for line in said.splitlines()),
        seconds=seconds,
        alone=alone_s,
    )


def _start(run: RunContainer, scenario: Scenario) -> list[Container]:
    made = [
        run.create(
            scenario.script,
            log_driver=scenario.driver,
            log_opts=scenario.options,
            auto_remove=scenario.remove,
        )
        for _ in range(scenario.containers)
    ]
    for container in made:
        container.start()
    return made


def _seconds_of(container: Container) -> float:
    container.wait(timeout=_LONGEST_S)
    container.reload()
    state = container.attrs["State"]
    return _seconds(state["FinishedAt"]) - _seconds(state["StartedAt"])


def _seconds(stamp: str) -> float:
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def _settled(path: Path, wanted: int) -> Counter[tuple[str, str]]:
    """What arrived, by container and message, once all is there or nothing more comes."""
    deadline, size, changed = time.monotonic() + _LONGEST_S, -1, time.monotonic()
    while time.monotonic() < deadline:
        now_size = path.stat().st_size if path.exists() else 0
        if now_size != size:
            size, changed = now_size, time.monotonic()
        elif time.monotonic() - changed > (_QUIET_S if _count(path) >= wanted else 3 * _QUIET_S):
            break
        time.sleep(0.2)
    with path.open("rb") as file:
        records = map(json.loads, file)
        return Counter((record["container"]["id"], record["message"]) for record in records)


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
