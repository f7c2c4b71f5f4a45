"""The Compose files of conf/host and conf/sidecar, as they stand, brought up on a real Engine by real Compose."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import urllib.request
from uuid import uuid4

import pytest
from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.images import Image

from tests.chaos.shipping import until
from tests.engine.containers import RunContainer
from tests.engine.deployed import BASE_IMAGE, Project, environment, is_connected, kept, outside
from tests.engine.dockerd import Engine
from tests.engine.image import BUILD_S, STATE, said
from tests.receivers.loki import LokiReceiver
from tests.receivers.program import free_port
from tests.receivers.web import HttpReceiver

pytestmark = [pytest.mark.engine, pytest.mark.timeout(BUILD_S)]
LINES = [f"line {number}" for number in range(1, 101)]
PRINT = "for n in $(seq 1 100); do echo line $n; done; exec sleep 600"
CLOSED = {"uid": 65532, "capabilities": 0, "new_privileges": False, "read_only": True}


async def test_the_agent_of_a_host_ships_to_its_file_and_to_loki(
    engine: Engine, image: Image, run_container: RunContainer
) -> None:
    """Each line of a container at both, once; the page is there, the agent shut in; nothing is left of it all."""
    name, port = f"dockferry-{uuid4().hex[:12]}", free_port()
    loki, address = LokiReceiver(), outside(run_container)

    def arrived() -> list[str]:
        return [record.message for record in loki.inbox.records if record.container == name]

    async with loki.listening(host=address):
        given = {"LOKI_URL": f"loki+http://{address}:{loki.port}", "HTTP_PORT": str(port)}
        async with Project("host", engine, environment(engine, image) | given).up() as project:
            agent = project.container("dockferry")
            await until(lambda: is_connected(agent), "it is connected", told=lambda: said(agent))
            await asyncio.to_thread(run_container, PRINT, name=name)
            await until(lambda: len(arrived()) >= len(LINES), "Loki has them", told=lambda: said(agent))
            await until(lambda: len(_archived(agent, name)) >= len(LINES), "they are in the file")
            assert arrived() == _archived(agent, name) == LINES
            assert kept(agent) == CLOSED
            assert agent.exec_run(["dockferry", "health"])[0] == 0
            assert await asyncio.to_thread(_status, f"http://127.0.0.1:{port}/healthz") == 200
    assert project.left() == []
    assert loki.inbox.faults == []


async def test_a_sidecar_ships_its_own_project_and_nothing_else(
    engine: Engine, image: Image, run_container: RunContainer
) -> None:
    """From the application's first line to the last before it was stopped; not a word of another's."""
    receiver, address = HttpReceiver(), outside(run_container)
    arrived = receiver.inbox.records
    async with receiver.listening(host=address):
        given = {"SINK_URL": f"http://{address}:{receiver.port}/logs?batch_age=100ms"}
        async with Project("sidecar", engine, _sidecar(engine, image) | given).up() as project:
            agent, app = project.container("dockferry"), project.container("app")
            await until(lambda: bool(arrived), "a line", told=lambda: said(agent))
            strangers = [
                await asyncio.to_thread(run_container, PRINT, labels=labels)
                for labels in ({}, {"com.docker.compose.project": f"{project.name}-2"})
            ]
            await until(lambda: all(LINES[-1] in said(each) for each in strangers), "others have printed")
            seen = len(arrived)
            await until(lambda: len(arrived) >= seen + 2, "two lines more", told=lambda: said(agent))
            assert kept(agent) == CLOSED
            await asyncio.to_thread(project.compose, "stop")
            printed = said(app).splitlines()
            assert [record.message for record in arrived] == printed
            assert printed[0] == "order 1 taken"
            assert {(record.container, record.tag) for record in arrived} == {(app.name, f"shop/{app.name}")}
            assert {(record.project, record.service) for record in arrived} == {(project.name, "app")}
    assert project.left() == []
    assert receiver.inbox.faults == []


async def test_a_sidecar_without_a_sink_prints_what_its_application_does(
    engine: Engine, image: Image
) -> None:
    """As who tries it sees it: `logs dockferry`."""

    def shown() -> list[str]:
        lines = project.compose("logs", "--no-color", "dockferry").splitlines()
        return [json.loads(line[line.index("{") :])["message"] for line in lines if '"stdout"' in line]

    async with Project("sidecar", engine, _sidecar(engine, image)).up() as project:
        agent = project.container("dockferry")
        await until(lambda: "order 1 taken" in said(agent), "a line", told=lambda: said(agent))
        assert (await asyncio.to_thread(shown))[0] == "order 1 taken"
    assert project.left() == []


def _sidecar(engine: Engine, image: Image) -> dict[str, str]:
    return environment(engine, image) | {"APP_IMAGE": BASE_IMAGE}


def _archived(agent: Container, name: str) -> list[str]:
    """The messages in the file of this container on the agent's volume."""
    try:
        parts, _ = agent.get_archive(f"{STATE}/archive/{name}.ndjson")
    except NotFound:
        return []
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        return [json.loads(line)["message"] for line in file if line.endswith(b"\n")]


def _status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        status: int = answer.status
        return status
