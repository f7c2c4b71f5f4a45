"""Many sinks of different kinds at once, on a real Engine: none waits for another, and each loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from pathlib import Path

import pytest

from agent.sinks import deadletter
from agent.spool import inspect
from tests.chaos.shipping import Agent, until
from tests.contract.stage import Shared, Stage
from tests.contract.stages.amqp import AmqpLinesStage
from tests.contract.stages.elasticsearch import ElasticsearchStage
from tests.contract.stages.file import FileStage
from tests.contract.stages.fluent import FluentStage
from tests.contract.stages.gelf import GelfTcpStage
from tests.contract.stages.http import HttpStage
from tests.contract.stages.kafka import KafkaStage
from tests.contract.stages.loki import LokiStage
from tests.contract.stages.nats import NatsStage
from tests.contract.stages.otlp import OtlpStage
from tests.contract.stages.redis import RedisStage
from tests.contract.stages.s3 import S3Stage
from tests.engine.containers import RunContainer, numbered_lines
from tests.engine.dockerd import Engine
from tests.receivers.elasticsearch import ElasticsearchReceiver

pytestmark = pytest.mark.engine
LINES, REFUSED_EACH = 50_000, 1_000
#: A slow machine decodes twelve times as many records in one loop.
PATIENCE_S = 120.0
CAST: dict[str, type[Stage]] = {
    "amqp": AmqpLinesStage,
    "elasticsearch": ElasticsearchStage,
    "file": FileStage,
    "fluent": FluentStage,
    "gelf": GelfTcpStage,
    "http": HttpStage,
    "kafka": KafkaStage,
    "loki": LokiStage,
    "nats": NatsStage,
    "otlp": OtlpStage,
    "redis": RedisStage,
    "s3": S3Stage,
}
DOWN, REFUSING = "http", "elasticsearch"


async def test_twelve_sinks_one_down_and_one_refusing(
    engine: Engine, run_container: RunContainer, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Ten have every line while one is down; that one has them after its return; the refused are dead letters."""
    lines = [f"{number:06}" for number in range(1, LINES + 1)]
    refused = lines[REFUSED_EACH - 1 :: REFUSED_EACH]
    with contextlib.ExitStack() as programs:
        shared = Shared(_made(tmp_path / "shared"), programs)
        stages = {name: made(_made(tmp_path / name), shared, None) for name, made in CAST.items()}
        receiver = getattr(stages[REFUSING], "web", None)
        assert isinstance(receiver, ElasticsearchReceiver)
        receiver.statuses = {line: [(400, "mapper_parsing_exception", "no number")] for line in refused}
        async with contextlib.AsyncExitStack() as standing, contextlib.AsyncExitStack() as down:
            for stage in stages.values():
                await standing.enter_async_context(stage.standing())
            await down.enter_async_context(stages[DOWN].absent())
            agent = Agent(
                engine.host,
                tmp_path,
                {name: _url(stage) for name, stage in stages.items()},
                include=f"label={run_container.label}",
                http=f"127.0.0.1:{unused_tcp_port}",
            )
            async with agent:
                await asyncio.to_thread(run_container, numbered_lines(LINES), log_opts={"max-size": "1g"})
                await _waiting(agent, {DOWN: LINES})
                for name, stage in stages.items():
                    if name != DOWN:
                        await _has(stage, lines, refused if name == REFUSING else [])
                await down.aclose()
                await _waiting(agent, {})
                await _has(stages[DOWN], lines, [])
                assert await _counted(agent, "refused_records_total") == {REFUSING: len(refused)}
                assert await _counted(agent, "lost_records_total") == {}
                assert await agent.end() == 0
    [dead] = deadletter.inspect(agent.state / "dead-letter")
    assert (dead.sink, dead.records) == (REFUSING, len(refused))


def _url(stage: Stage) -> str:
    """An object of S3's is usually gathered for minutes."""
    return stage.url + ("&" if "?" in stage.url else "?") + "batch_age=1s"


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


async def _waiting(agent: Agent, wanted: dict[str, int]) -> None:
    """Until so many records wait for these sinks, and none for the others."""

    def waiting() -> dict[str, int]:
        return {backlog.name: backlog.records for backlog in inspect(agent.state) if backlog.records}

    def told() -> str:
        return f"{waiting()}\n{agent.said()}"

    await until(lambda: waiting() == wanted, f"{wanted} waits", seconds=PATIENCE_S, told=told)


async def _has(stage: Stage, lines: list[str], refused: list[str]) -> None:
    """Whether the stage's receiver has each line once, but the refused."""
    arrived = await stage.have(len(lines) - len(refused))
    assert Counter(record.message for record in arrived) == Counter(lines) - Counter(refused)


async def _counted(agent: Agent, name: str) -> dict[str, int]:
    """A counter by sink, where it is not 0."""
    _, text = await agent.asked("/metrics")
    found = Counter[str]()
    for labels, value in re.findall(rf"^dockferry_{name}{{(.*)}} (\S+)$", text, re.MULTILINE):
        [sink] = re.findall(r'sink="(\w+)"', labels)
        found[sink] += int(float(value))
    return {sink: count for sink, count in found.items() if count}
