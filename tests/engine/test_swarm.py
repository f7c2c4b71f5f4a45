"""conf/swarm/stack.yaml, as it stands, deployed on a real swarm of one node."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from docker.models.containers import Container
from docker.models.images import Image

from tests.chaos.shipping import until
from tests.engine.containers import RunContainer
from tests.engine.deployed import BASE_IMAGE, environment, is_connected, kept, outside
from tests.engine.dockerd import Engine
from tests.engine.image import BUILD_S, said
from tests.engine.swarm import Stack, swarm
from tests.receivers.certificates import PrivateCa
from tests.receivers.loki import LokiReceiver
from tests.test_conf import CONF

pytestmark = [pytest.mark.engine, pytest.mark.timeout(BUILD_S)]
#: Two tasks that count as long as they run.
COUNTING = f"""
version: "3.8"
services:
  web:
    image: {BASE_IMAGE}
    command: [sh, -c, "while :; do echo $$((i += 1)); usleep 50000; done"]
    stop_grace_period: 0s
    deploy: {{ replicas: 2 }}
"""


SAYS = "com_docker_swarm_"
#: The agent ships what every container of the Engine prints, others' floods included.
PATIENCE_S = 180.0


@pytest.fixture
def node(engine: Engine, image: Image) -> Iterator[str]:
    """The id of the swarm's one node. The image comes first: an Engine that cannot have it is left alone."""
    with swarm(engine) as node:
        yield node


async def test_an_agent_on_every_node_ships_what_tasks_print(
    engine: Engine, image: Image, node: str, run_container: RunContainer, tmp_path: Path
) -> None:
    """With service, task and node, by a secret; the next agent, with another, goes on where the last one ended."""
    name, address, ca = f"dockferry-{uuid4().hex[:12]}", outside(run_container), PrivateCa(tmp_path)
    stack = Stack(engine, name, CONF / "swarm/stack.yaml")
    (tmp_path / "web.yaml").write_text(COUNTING, "utf-8")
    web = Stack(engine, f"{name}-shop", tmp_path / "web.yaml")
    loki = LokiReceiver(authorization=_basic("one"))
    async with loki.listening(ca.server(address), host=address), contextlib.AsyncExitStack() as made:
        given = environment(engine, image) | {
            "LOKI_HOST": f"{address}:{loki.port}",
            **made.enter_context(_held_by_the_swarm(engine, name, ca.ca_file)),
        }
        made.push_async_callback(asyncio.to_thread, stack.remove)
        await asyncio.to_thread(stack.deploy, **given, LOKI_PASSWORD_SECRET=f"{name}_one")
        first = await _agent(stack)
        assert kept(first) == {"uid": 65532, "capabilities": 0, "new_privileges": True, "read_only": True}
        assert first.attrs["Config"]["Healthcheck"] == image.attrs["Config"]["Healthcheck"]
        assert first.exec_run(["dockferry", "health"])[0] == 0

        made.push_async_callback(asyncio.to_thread, web.remove)
        await asyncio.to_thread(web.deploy)
        await until(
            lambda: _least(loki, web) >= 20, "both count", seconds=PATIENCE_S, told=lambda: said(first)
        )

        await asyncio.to_thread(stack.deploy, **given, LOKI_PASSWORD_SECRET=f"{name}_two")
        await until(lambda: first not in stack.containers(), "the first agent has ended", seconds=PATIENCE_S)
        loki.authorization = _basic("two")
        seen = _least(loki, web)
        second = await _agent(stack)
        await until(
            lambda: _least(loki, web) >= seen + 50,
            "they go on",
            seconds=PATIENCE_S,
            told=lambda: said(second),
        )

        found = [record for record in loki.inbox.records if record.project == web.name]
        for numbers in _counted(loki, web).values():
            assert numbers == list(range(1, len(numbers) + 1))
        assert {record.service for record in found} == {f"{web.name}_web"}
        assert {record.host for record in found} == {engine.client.info()["Name"]}
        assert {record.labels[f"{SAYS}node_id"] for record in found} == {node}
        assert {record.labels[f"{SAYS}service_name"] for record in found} == {f"{web.name}_web"}
        ids = {str(record.container): record.labels[f"{SAYS}task_id"] for record in found}
        assert set(ids) == set(_counted(loki, web))
        assert sorted(ids) == [
            f"{web.name}_web.{slot}.{ids[name]}" for slot, name in enumerate(sorted(ids), 1)
        ]
    assert stack.left() == web.left() == []
    assert loki.inbox.faults == []


@contextlib.contextmanager
def _held_by_the_swarm(engine: Engine, name: str, ca: Path) -> Iterator[dict[str, str]]:
    """The passwords `one` and `two` as secrets, a CA as a config: the variable that names the latter."""
    client = engine.client
    with contextlib.ExitStack() as made:
        for password in ("one", "two"):
            made.callback(client.secrets.create(name=f"{name}_{password}", data=password.encode()).remove)
        made.callback(client.configs.create(name=f"{name}_ca", data=ca.read_bytes()).remove)
        yield {"LOKI_CA_CONFIG": f"{name}_ca"}


async def _agent(stack: Stack) -> Container:
    """The stack's one agent, once it is connected to the Engine."""

    def connected() -> list[Container]:
        return [each for each in stack.containers() if is_connected(each)]

    await until(lambda: bool(connected()), "an agent is connected", seconds=PATIENCE_S, told=stack.tasks)
    [agent] = connected()
    return agent


def _counted(loki: LokiReceiver, web: Stack) -> dict[str, list[int]]:
    """What each of its tasks has counted, as it arrived, by the task's name."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in loki.inbox.records:
        if record.project == web.name:
            found[record.labels[f"{SAYS}task_name"]].append(int(record.message))
    return found


def _least(loki: LokiReceiver, web: Stack) -> int:
    """How many lines of each of the two tasks have arrived at least."""
    counted = _counted(loki, web)
    return min(map(len, counted.values())) if len(counted) == 2 else 0


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"dockferry:{password}".encode()).decode()
