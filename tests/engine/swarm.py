"""A swarm of one node: the Engine's own if it is in one, else one that ends with the block that needed it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from tests.compose import run
from tests.engine.dockerd import Engine
from tests.engine.shipping import until

#: Made with the first swarm, and kept by the Engine when that is left.
_BRIDGE = "docker_gwbridge"


@contextlib.contextmanager
def swarm(engine: Engine) -> Iterator[str]:
    """The node's id."""
    client = engine.client
    if node := client.info()["Swarm"]["NodeID"]:
        yield node
        return
    bridged = bool(client.networks.list(names=[_BRIDGE]))
    client.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1")
    try:
        yield client.info()["Swarm"]["NodeID"]
    finally:
        client.swarm.leave(force=True)
        if not bridged:
            with contextlib.suppress(NotFound):
                client.networks.get(_BRIDGE).remove()


class Stack:
    """A stack file, deployed under this name as often as one likes, removed at the block's end."""

    def __init__(self, engine: Engine, name: str, file: Path) -> None:
        self.name = name
        self._engine = engine
        self._file = file

    def deploy(self, **environ: str) -> None:
        """As a user would, with the images that are here."""
        arguments = ("deploy", "--resolve-image", "never", "-c", self._file.name, self.name)
        run(self._file.parent, "docker", "stack", *arguments, **{**environ, "DOCKER_HOST": self._engine.host})

    def containers(self, *, all: bool = False) -> list[Container]:
        """Of its tasks: those that run, or all that are still there."""
        return self._engine.client.containers.list(all=all, filters=self._label(), ignore_removed=True)

    def tasks(self) -> str:
        """What has become of them, for people."""
        arguments = ("--no-trunc", "--format", "{{.Name}} {{.CurrentState}} {{.Error}}", self.name)
        return run(self._file.parent, "docker", "stack", "ps", *arguments, DOCKER_HOST=self._engine.host)

    def left(self) -> list[str]:
        """What there is of it on the Engine: names of services, containers, networks and volumes."""
        client = self._engine.client
        kinds = (
            client.services.list(filters=self._label()),
            self.containers(all=True),
            client.networks.list(filters=self._label()),
            client.volumes.list(filters=self._label()),
        )
        return [str(each.name) for kind in kinds for each in kind]

    def remove(self) -> None:
        """All of it, its volumes too, which Swarm would keep."""
        run(self._file.parent, "docker", "stack", "rm", self.name, DOCKER_HOST=self._engine.host)
        until(lambda: not self.containers(all=True), f"the containers of {self.name} are gone")
        for volume in self._engine.client.volumes.list(filters=self._label()):
            volume.remove()
        until(lambda: not self.left(), f"{self.name} is gone", told=lambda: str(self.left()))

    def _label(self) -> dict[str, str | list[str] | bool]:
        return {"label": f"com.docker.stack.namespace={self.name}"}
