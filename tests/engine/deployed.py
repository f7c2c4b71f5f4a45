"""What conf/ brings up on a real Engine: what its files are told of this machine, and how their agent is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from docker.models.containers import Container
from docker.models.images import Image

from tests.compose import compose
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.image import said
from tests.test_conf import CONF

BASE_IMAGE = "dockferry/base:latest"
#: What the agent's own process may do.
_KEPT = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
print(json.dumps({
    "uid": int(status["Uid"].split()[0]),
    "capabilities": int(status["CapBnd"], 16) | int(status["CapPrm"], 16),
    "new_privileges": status["NoNewPrivs"].strip() == "0",
    "read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
}))
"""


def outside(run_container: RunContainer) -> str:
    """This machine's address for containers on any network that has a way out."""
    container = run_container("exec sleep 600", network_mode="bridge")
    container.reload()
    gateway: str = container.attrs["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    return gateway


def environment(engine: Engine, image: Image) -> dict[str, str]:
    """The variables that are another machine's own: its Engine, the group of its socket, the agent's image."""
    socket = engine.host.removeprefix("unix://")
    return {
        "DOCKER_HOST": engine.host,
        "DOCKER_SOCKET": socket,
        "DOCKER_GID": str(Path(socket).stat().st_gid),
        "DOCKFERRY_IMAGE": image.tags[0],
    }


def kept(agent: Container) -> dict[str, Any]:
    """`uid`, `capabilities`, `new_privileges`, `read_only` of the agent's process."""
    status, printed = agent.exec_run(["python", "-c", _KEPT])
    assert status == 0, printed
    assert isinstance(printed, bytes)
    found: dict[str, Any] = json.loads(printed)
    return found


def is_connected(agent: Container) -> bool:
    """Whether it has said so, since it was started first."""
    return "connected to" in said(agent)


class Project:
    """A folder of conf/ as a Compose project, under a name of its own."""

    def __init__(self, folder: str, engine: Engine, environ: dict[str, str]) -> None:
        self.name = f"dockferry-{uuid4().hex[:12]}"
        self._directory = CONF / folder
        self._engine = engine
        self._environ = {**environ, "COMPOSE_PROJECT_NAME": self.name}

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[Self]:
        """Up, and at the block's end down with its volumes."""
        try:
            await asyncio.to_thread(self.compose, "up", "-d")
            yield self
        finally:
            await asyncio.to_thread(self.compose, "down", "-v")

    def compose(self, *arguments: str) -> str:
        """What Compose prints to this."""
        return compose(self._directory, *arguments, **self._environ)

    def container(self, service: str) -> Container:
        """The service's only one, running or not."""
        label = [self._label(), f"com.docker.compose.service={service}"]
        [found] = self._engine.client.containers.list(all=True, filters={"label": label})
        return found

    def left(self) -> list[str]:
        """What there is of it on the Engine: names of containers, volumes and networks."""
        client = self._engine.client
        kinds = (
            client.containers.list(all=True, filters={"label": self._label()}),
            client.volumes.list(filters={"label": self._label()}),
            client.networks.list(filters={"label": self._label()}),
        )
        return [str(each.name) for kind in kinds for each in kind]

    def _label(self) -> str:
        return f"com.docker.compose.project={self.name}"
