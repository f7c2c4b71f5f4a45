"""A real Prometheus scrapes the real agent, which reads the simulated Engine: what people will see."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.metrics import Metrics
from agent.simulator import Container, SimulatedEngine
from agent.stats.families import OF_ALL, OF_RUNS, OF_SAMPLES
from tests.engine.shipping import Agent, Lines
from tests.prometheus.dashboard import expressions, filled
from tests.receivers.program import free_port
from tests.receivers.prometheus import Prometheus, prometheus
from tests.stats.cadvisor import COUNTERS, GAUGES, UNTYPED

DEADLINE_S = 40.0
NAMES = {"web", "db", "cache"}
#: What stays empty while all goes well, or where the simulated host (cgroup v2, no limits) says nothing.
EMPTY = {
    "Records lost by cause",
    "Streams",
    "Retries and refusals",
    "Trouble",
    "Memory, as part of the limit",
    "Throttled",
    "Threads, and restarts",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """A run, and who watches it."""

    engine: SimulatedEngine
    agent: Agent
    port: int
    prometheus: Prometheus

    def scrape(self) -> str:
        """What the agent shows."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until it is so; fails with `what`, and with what the agent said."""
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        while True:
            with contextlib.suppress(OSError):  # it does not listen yet
                if await asyncio.to_thread(true):
                    return
            assert asyncio.get_running_loop().time() < deadline, f"{what}\n{self.agent.said()}"
            await asyncio.sleep(0.05)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="prom") as path:
        yield Path(path)


@pytest.fixture
async def watched(directory: Path) -> AsyncIterator[Watched]:
    """Three containers that write, an agent with a sink, Prometheus."""
    port = free_port()
    with Lines() as lines:
        async with SimulatedEngine(str(directory / "docker.sock")) as engine, asyncio.TaskGroup() as tasks:
            containers = [engine.create(name) for name in sorted(NAMES)]
            for container in containers:
                container.start()
            writing = tasks.create_task(write(containers))
            agent = Agent(
                engine.docker_host,
                directory,
                {"tcp": f"{lines.url}?batch_age=100ms"},
                http=f"127.0.0.1:{port}",
                stats="1s",
            )
            try:
                agent.launch()
                with prometheus(directory, [f"127.0.0.1:{port}"]) as server:
                    yield Watched(engine, agent, port, server)
            finally:
                await asyncio.to_thread(agent.kill)
                writing.cancel()


def bare(name: str) -> str:
    """A metric as OpenMetrics names it: `_total` is of a counter's sample."""
    return name.removesuffix("_total")


async def write(containers: list[Container]) -> None:
    """A line of each that runs, for ever."""
    while True:
        for container in containers:
            if container.running:
                container.write(b"a line\n")
        await asyncio.sleep(0.05)


async def test_what_containers_use_can_be_asked_of_prometheus(watched: Watched) -> None:
    """By cAdvisor's names and kinds; rates are exact. And so can all that the dashboard and the rules ask."""
    server = watched.prometheus
    rate = "irate(container_cpu_usage_seconds_total[10s]) > 0"
    await watched.until(
        lambda: {each["metric"]["name"] for each in server.query(rate)} == NAMES, "rates of CPU time"
    )
    used = {each["metric"]["name"]: float(each["value"][1]) for each in server.query(rate)}
    for container in watched.engine.containers:  # the simulated share of a CPU
        assert used[container.name] == pytest.approx((1 + int(container.id[:8], 16) % 32) / 100, rel=0.1)
    for name in (
        "container_memory_working_set_bytes",
        "container_network_receive_bytes_total",
        "container_threads",
    ):
        assert {each["metric"]["name"] for each in server.query(name)} == NAMES

    wanted = {bare(name): "counter" for name in COUNTERS} | dict.fromkeys(GAUGES, "gauge")
    wanted |= dict.fromkeys(UNTYPED, "unknown")
    told = {bare(name): entry[0]["type"] for name, entry in server.get("metadata").items()}
    assert {name: kind for name, kind in told.items() if name.startswith("container_")} == wanted

    shown = {family.name for family in text_string_to_metric_families(watched.scrape())}
    known = {family.name for family in (*OF_SAMPLES, *OF_RUNS, *OF_ALL)} | {
        m.name for m in Metrics().declared
    }
    assert set(map(bare, known)) <= set(map(bare, shown))

    for title, expression in expressions():
        found = await asyncio.to_thread(server.query, filled(expression))
        assert found or title in EMPTY, (title, expression)

    [group] = server.get("rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert server.query('ALERTS{alertstate="firing"}') == []


async def test_a_container_that_is_gone_leaves_the_scrape_at_once(watched: Watched) -> None:
    """And Prometheus is told of one that has ended."""

    def asked(expression: str) -> set[str]:
        return {each["metric"]["name"] for each in watched.prometheus.query(expression)}

    await watched.until(lambda: asked("container_threads") == NAMES, "all of them")
    watched.engine.find("db").finish(3)
    watched.engine.find("cache").remove()
    await watched.until(lambda: 'name="cache"' not in watched.scrape(), "no series of the removed one")
    await watched.until(lambda: asked("dockferry_container_exit_code == 3") == {"db"}, "how the other ended")
