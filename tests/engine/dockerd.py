"""Engines for tests: the one they share, and private ones that a test may kill and restart.

How an Engine comes to be on a machine is `.ci/engine`'s business; this file asks it.
"""

import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker

from tests.engine.containers import RunContainer

_SCRIPT = Path(__file__).parents[2] / ".ci" / "engine"
_EXPORT = "export DOCKER_HOST="
_PROVIDE_SECONDS = 300  # may have to install packages first
_END_SECONDS = 60


class NoEngineError(Exception):
    """No Engine answers and none can be started; the text says why, in the words of `.ci/engine`."""


def provide(*arguments: str) -> str:
    """Run `.ci/engine` with these arguments and return the DOCKER_HOST it names, empty if it names none.

    Raises NoEngineError when it fails or takes more than five minutes.
    """
    try:
        done = subprocess.run(
            [_SCRIPT, *arguments], capture_output=True, text=True, timeout=_PROVIDE_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        raise NoEngineError(error.stderr.strip()) from error
    except subprocess.TimeoutExpired as error:
        raise NoEngineError(f"{_SCRIPT} took more than {_PROVIDE_SECONDS} s") from error
    return done.stdout.strip().removeprefix(_EXPORT)


@dataclass(frozen=True, slots=True)
class Engine:
    """An Engine that answers and holds the base image."""

    host: str  # as DOCKER_HOST has it
    client: docker.DockerClient
    version: tuple[int, ...]  # (28, 5, 2)
    api_version: str  # the newest it speaks
    podman: bool  # its own version then, and its Docker-compatible API


@contextmanager
def connected(host: str) -> Iterator[Engine]:
    """The Engine at `host`, TLS as the environment says (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH)."""
    client = docker.from_env(environment={**os.environ, "DOCKER_HOST": host})
    try:
        answer = client.version()
        numbers = re.match(r"\d+(?:\.\d+)*", answer["Version"])
        version = tuple(int(number) for number in numbers.group().split(".")) if numbers else ()
        yield Engine(host, client, version, answer["ApiVersion"], _is_podman(answer))
    finally:
        client.close()


def _is_podman(version: Mapping[str, Any]) -> bool:
    return any(part["Name"] == "Podman Engine" for part in version.get("Components") or ())


class PrivateEngine:
    """A dockerd of one test's own, all of it below `directory`; leaving ends it and its containers.

    With the PATH that `.ci/engines` gives it is another release's, or a Podman.
    `flags` hold from its next start on. It has no network (`.ci/engine` says why).
    Every method returns when what it names has happened, or raises: NoEngineError if it does not start,
    TimeoutError if it has not ended after a minute. All block: beside code that needs the event loop, call them
    with `asyncio.to_thread`.
    """

    def __init__(self, directory: Path, *flags: str) -> None:
        self.host = f"unix://{directory}/docker.sock"
        self.directory = directory
        self.flags = flags
        self._client: docker.DockerClient | None = None

    @property
    def client(self) -> docker.DockerClient:
        """One for the Engine's whole life: it connects anew after a restart."""
        if self._client is None:
            self._client = docker.DockerClient(base_url=self.host)
        return self._client

    @property
    def podman(self) -> bool:
        """Whether it is Podman: its containers outlive it in any case, and are not started with it."""
        return _is_podman(self.client.version())

    @property
    def run_container(self) -> RunContainer:
        """Its containers end with the Engine at the latest: nobody has to remove them."""
        return RunContainer(self.client)

    def start(self) -> None:
        """Start it, also after `kill`; where it runs, do nothing."""
        provide("private", str(self.directory), *self.flags)

    def kill(self) -> None:
        """End it with SIGKILL. The containers run on, with nobody to read what they print."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End it in good order and start it again; its containers are stopped, but for `--live-restore`."""
        self._end(signal.SIGTERM)
        self.start()

    def stop(self) -> None:
        """End it and its containers, and remove all but its log."""
        if self._client is not None:
            self._client.close()
            self._client = None
        provide("stop", str(self.directory))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        # A pidfd tells of the end even where nobody reaps the process, as in a container without init.
        process = os.pidfd_open(int((self.directory / "docker.pid").read_text()))
        try:
            signal.pidfd_send_signal(process, how)
            if not select.select([process], [], [], _END_SECONDS)[0]:
                raise TimeoutError(f"dockerd in {self.directory} outlived {how.name} by {_END_SECONDS} s")
        finally:
            os.close(process)
