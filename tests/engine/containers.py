"""Containers for tests: shell scripts on the base image, gone when the test is."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import LogConfig

IMAGE = "dockferry/base:latest"
LABEL = "dockferry-test"


def numbered_lines(count: int, *, width: int = 6) -> str:
    """A script that prints 1 … `count`, zero-padded to `width` characters, as fast as awk can."""
    return f"awk 'BEGIN {{ for (i = 1; i <= {count}; i++) printf \"%0{width}d\\n\", i }}'"


def fleeting(number: int) -> str:
    """A script that prints a first and a last line and lives for 50 ms: see `shipping.unread`."""
    return f"echo first {number}; usleep 50000; echo last {number}"


class RunContainer:
    """Runs shell scripts in containers of their own; all are removed, running or not, when it ends.

    They carry the label `dockferry-test=<uuid>`, have no network, and end at once when asked to stop: a shell
    as first process ignores SIGTERM. What the Docker SDK's `containers.create()` takes may be given as well
    and goes before these habits.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self.label = f"{LABEL}={uuid4()}"
        self._client = client
        self._made: list[Container] = []

    def __call__(self, script: str, **options: Any) -> Container:  # noqa: ANN401  (the SDK's own)
        """Create and start. Options as for `create`."""
        container = self.create(script, **options)
        container.start()
        return container

    def create(
        self,
        script: str,
        *,
        log_driver: str = "json-file",
        log_opts: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Container:
        """Create without starting, so that a reader can be there before the first byte."""
        name, _, value = self.label.partition("=")
        habits = {"network_mode": "none", "stop_signal": "SIGKILL"}
        container = self._client.containers.create(
            IMAGE,
            ["/bin/sh", "-c", script],
            log_config=LogConfig(type=log_driver, config=dict(log_opts or {})),
            labels={**(labels or {}), name: value},
            **(habits | options),
        )
        self._made.append(container)
        return container

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._made:  # the newest first: it may share the network of an older one
            _remove(self._made.pop())


def _remove(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        pass  # created with auto_remove, and done
    except APIError as error:  # likewise, and being removed this very moment; 500: Podman
        if error.status_code != 409 and not str(error.explanation).endswith("no such container"):
            raise
