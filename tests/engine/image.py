"""The container image as `make image` builds it, and the agent in containers of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.images import Image

from tests.engine.containers import LABEL
from tests.engine.dockerd import Engine

STATE = "/var/lib/dockferry"
#: The first build lays out Debian's packages and fetches the wheels: minutes, on a machine under load.
BUILD_S = 1200
#: As conf/host/compose.yaml has it, with less memory.
CLOSED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": "128m",
}
_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def built(engine: Engine) -> Iterator[Image]:
    """Ours, just built; of its first stage the layers stay, so that the next build is quick."""
    name = f"dockferry/tested:{uuid4().hex[:12]}"  # others may be testing on the same Engine
    environ = {**os.environ, "DOCKER_HOST": engine.host, "IMAGE": name, "BASE": ""}
    done = subprocess.run(
        [_ROOT / "conf" / "image"], env=environ, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    yield engine.client.images.get(name)
    engine.client.images.remove(name)


class RunAgent:
    """Runs `dockferry …` in containers that may do as little as possible.

    They, and the volumes made for them, are removed when it ends.
    """

    def __init__(self, engine: Engine, image: Image) -> None:
        self._engine, self._image = engine, image
        self._socket = engine.host.removeprefix("unix://")
        self._made: list[Container] = []
        self._volumes: list[str] = []

    def __call__(self, *command: str, **options: Any) -> Container:  # noqa: ANN401  (the SDK's)
        """Create and start. Options as for `create`."""
        container = self.create(*command, **options)
        container.start()
        return container

    def create(
        self,
        *command: str,
        out: Path | None = None,
        state: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Container:
        """Create without starting, with the Engine's socket.

        out      the directory that is /out in it
        state    the volume that its state is on, else one of its own
        options  of the Docker SDK's `containers.create()`; they go before these habits
        """
        usual: dict[str, Any] = {
            "name": f"dockferry-image-{uuid4().hex[:12]}",
            "network_mode": "host",  # the receivers are on its loopback
            "volumes": [
                f"{self._socket}:/var/run/docker.sock",
                *([f"{out}:/out"] if out else []),
                *([f"{state}:{STATE}"] if state else []),
            ],
            "group_add": [Path(self._socket).stat().st_gid],
            **CLOSED,
        }
        container = self._engine.client.containers.create(self._image, list(command), **(usual | options))
        self._made.append(container)
        return container

    def new_volume(self) -> str:
        """An empty volume's name."""
        name = f"dockferry-state-{uuid4().hex[:12]}"
        self._engine.client.volumes.create(name, labels={LABEL: name})
        self._volumes.append(name)
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._made:
            with contextlib.suppress(NotFound):  # the test has removed it
                self._made.pop().remove(force=True, v=True)
        while self._volumes:
            self._engine.client.volumes.get(self._volumes.pop()).remove()


def said(container: Container) -> str:
    """What it has printed so far."""
    text: str = container.logs().decode()
    return text


def state_of(container: Container) -> dict[str, Any]:
    """Its `State`, as the Engine has it now."""
    container.reload()
    state: dict[str, Any] = container.attrs["State"]
    return state
