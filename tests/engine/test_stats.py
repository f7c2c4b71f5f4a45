"""What containers use, on a real Engine: as `docker stats` shows it at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from docker.models.containers import Container

from agent.batch import Batch
from agent.engine.client import EngineClient
from agent.engine.discovery import Discovery
from agent.engine.endpoint import resolve
from agent.engine.own import Traces
from agent.labels import LabelOptions
from agent.metrics import Metrics
from agent.pipeline.describe import describe
from agent.settings import Settings
from agent.stats import StatsReader
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, records, until

pytestmark = pytest.mark.engine

MANY = 50
QUOTA = 0.1
MIB = 1 << 20
_SIZES: dict[str, int] = {
    unit: base**power
    for base, letters in ((1000, ("B", "kB", "MB", "GB")), (1024, ("B", "KiB", "MiB", "GiB")))
    for power, unit in enumerate(letters)
}


@dataclass(slots=True)
class Watch:
    """A reader on the Engine, of the containers with this label; its interval is a second."""

    label: str
    metrics: Metrics = field(default_factory=Metrics)
    documents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self, host: str) -> AsyncIterator[None]:
        """It asks meanwhile."""
        settings = Settings.load({"DOCKER_HOST": host, "DOCKFERRY_INCLUDE": f"label={self.label}"})
        async with (
            EngineClient(resolve(settings.docker), docker=settings.docker) as client,
            asyncio.TaskGroup() as tasks,
        ):
            stats = StatsReader(
                client,
                interval_s=1.0,
                describe=lambda facts: describe(facts, LabelOptions(), settings, host="node", selects={}),
                metrics=self.metrics,
                hand_on=self._keep,
            )
            discovery = Discovery(client, settings=settings, own=Traces(), metrics=self.metrics)
            both = [tasks.create_task(discovery.run(stats.apply)), tasks.create_task(stats.run())]
            yield
            for task in both:
                task.cancel()

    async def _keep(self, batches: Sequence[Batch], _: Mapping[str, bytes]) -> None:
        for batch in batches:
            found = orjson.loads(batch.messages[0])["docker"]
            self.documents.setdefault(batch.container.name, []).append(found)

    def series(self, name: str) -> dict[str, float]:
        """A metric's values by container; the sum over its interfaces."""
        found: dict[str, float] = {}
        for metric in self.metrics.registry.collect():
            for each in metric.samples:
                if each.name == name:
                    found[each.labels["name"]] = found.get(each.labels["name"], 0) + each.value
        return found


async def reached(true: Callable[[], bool], what: str) -> None:
    """Wait until it is so, for a minute at most."""
    await asyncio.to_thread(until, true, what)


def size(text: str) -> float:
    """Bytes, of what `docker stats` writes: `5.539MiB`, `1.18kB`."""
    match = re.fullmatch(r"([\d.]+)(\w+)", text.strip())
    assert match, text
    return float(match[1]) * _SIZES[match[2]]


def docker_stats(host: str, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What the command shows, by container."""
    done = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", "{{json .}}", *names],
        env={**os.environ, "DOCKER_HOST": host},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {shown["Name"]: shown for shown in map(json.loads, done.stdout.splitlines())}


def load(number: int) -> str:
    """A script: some traffic, processes and MiB; it says when it is ready, then rests, or loops for some."""
    mebibytes, sleepers = 4 + number % 8, number % 3
    traffic = "ping -q -c 100 -A -s 1000 $(ip route | awk '/default/ { print $3 }') >/dev/null 2>&1; "
    sleep = "sleep 1000 & " * sleepers
    rest = "while :; do :; done" if is_busy(number) else "sleep 1000"
    fill = f's = sprintf("%{MIB}s", ""); for (i = 0; i < {mebibytes}; i++) a[i] = s i'
    return f'{traffic}{sleep}exec awk \'BEGIN {{ {fill}; print "ready"; fflush(); system("{rest}") }}\''


def is_busy(number: int) -> bool:
    return number % 25 == 0


def has_network(engine: Engine) -> bool:
    """Whether it has its bridge: private ones have none."""
    return bool(engine.client.networks.list(names=["bridge"]))


@pytest.fixture
def many(engine: Engine, run_container: RunContainer) -> list[Container]:
    """Fifty, all ready. With a network where the Engine has one."""
    if engine.podman:
        pytest.skip("the client's `docker stats` does not understand Podman's answers")

    def start(number: int) -> Container:
        return run_container(
            load(number),
            network_mode="bridge" if has_network(engine) else "none",
            nano_cpus=int(QUOTA * 1e9) if is_busy(number) else None,
            mem_limit=64 * MIB,
        )

    with ThreadPoolExecutor(4) as starting:
        found = list(starting.map(start, range(MANY)))
    for container in found:
        until(lambda each=container: b"ready" in each.logs(), f"{container.name} is ready")  # type: ignore[misc]
    return found


async def test_fifty_containers_show_what_docker_stats_shows(
    engine: Engine, run_container: RunContainer, many: list[Container]
) -> None:
    """Memory and traffic within 2 %, processes exactly; CPU within a quarter, of those held to a tenth of one.

    What the command saw is held against the answers around that moment: the kernel gives memory back in steps, and
    CPU time as others leave it.
    """
    names = [str(container.name) for container in many]
    watch = Watch(run_container.label)
    async with watch.running(engine.host):
        await reached(lambda: watch.documents.keys() == set(names), "all were asked")
        shown = await asyncio.to_thread(docker_stats, engine.host, names)
        seen = {name: len(found) for name, found in watch.documents.items()}
        await reached(
            lambda: all(len(watch.documents[name]) > seen[name] + 1 for name in names), "and again after that"
        )
    assert shown.keys() == set(names)
    threads, received = (
        watch.series("container_threads"),
        watch.series("container_network_receive_bytes_total"),
    )
    sent, limits = (
        watch.series("container_network_transmit_bytes_total"),
        watch.series("container_spec_memory_limit_bytes"),
    )
    for number, name in enumerate(names):
        used, limit = map(size, shown[name]["MemUsage"].split("/"))
        memories = [found["memory"] for found in watch.documents[name]]
        memory = min(memories, key=lambda each: abs(each["usage"]["total"] - used))
        assert memory["usage"]["total"] == pytest.approx(used, rel=0.02)
        assert memory["limit"] == limit == limits[name]
        assert memory["usage"]["pct"] * 100 == pytest.approx(
            float(shown[name]["MemPerc"][:-1]), rel=0.02, abs=0.01
        )
        assert threads[name] == int(shown[name]["PIDs"])
        came, went = map(size, shown[name]["NetIO"].split("/"))
        assert (went > 50_000) is has_network(engine)
        assert received.get(name, 0) == pytest.approx(came, rel=0.02)
        assert sent.get(name, 0) == pytest.approx(went, rel=0.02)
        if is_busy(number):
            shares = [found["cpu"]["total"]["pct"] for found in watch.documents[name][1:]]
            share = float(shown[name]["CPUPerc"][:-1]) / 100
            assert 0.75 * min(shares) <= share <= 1.25 * max(shares)
            assert 0.1 * QUOTA < max(shares) < 1.25 * QUOTA  # a busy machine may give less


async def test_how_a_container_fares_is_told(engine: Engine, run_container: RunContainer) -> None:
    """Paused, still asked; ended by the kernel for want of memory; restarted by its policy; removed."""
    paused = run_container("sleep 1000")
    ended = run_container("exit 7")
    greedy = run_container(
        "exec awk 'BEGIN { s = \"x\"; while (1) s = s s }'", mem_limit=16 * MIB, memswap_limit=16 * MIB
    )
    restarted = run_container(
        "sleep 0.3; exit 1", restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}
    )
    watch = Watch(run_container.label)
    async with watch.running(engine.host):
        await reached(lambda: str(paused.name) in watch.series("container_threads"), "it is asked")
        await asyncio.to_thread(paused.pause)
        seen = len(watch.documents[str(paused.name)])
        await reached(lambda: len(watch.documents[str(paused.name)]) >= seen + 2, "a paused one answers")
        await reached(
            lambda: watch.series("dockferry_container_exit_code").get(str(ended.name)) == 7, "how it ended"
        )
        await reached(
            lambda: watch.series("dockferry_container_out_of_memory").get(str(greedy.name)) == 1,
            "out of memory",
        )
        await reached(
            lambda: watch.series("dockferry_container_restarts_total").get(str(restarted.name)) == 2,
            "restarts",
        )
        await asyncio.to_thread(paused.unpause)
        await asyncio.to_thread(paused.remove, force=True)
        await reached(lambda: str(paused.name) not in watch.series("dockferry_container_state"), "it is gone")


def test_records_of_use_go_the_way_of_all_records(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Through the spool, over a kill, beside what the container printed; with a tag of their own, each once."""
    container = run_container("while :; do echo tick; sleep 0.2; done")
    file = tmp_path / "out.ndjson"
    agent = Agent(
        engine.host,
        tmp_path,
        {"file": f"file://{file}?batch_age=100ms"},
        include=f"label={run_container.label}",
        stats="1s",
        stats_records="true",
    )

    def of_use() -> list[dict[str, Any]]:
        return [each for each in records(file) if each["tag"] == f"{container.name}.metrics"]

    with agent:
        until(lambda: len(of_use()) >= 3, "records of use", told=agent.said)
        agent.kill()
        agent.start()
        seen = len(of_use())
        until(lambda: len(of_use()) >= seen + 3, "more of them", told=agent.said)
        assert agent.stop() == 0
    found = of_use()
    assert len({each["id"] for each in found}) == len(found)
    assert all(json.loads(each["message"])["docker"]["memory"]["usage"]["total"] > 0 for each in found)
    assert {each["message"] for each in records(file) if each["tag"] == container.name} == {"tick"}
