"""The simulated Engine as its users hold it: containers, events, faults, and a socket that may go down.

Place: the front of this package; owns the containers' state and runs the server of `server`.
Source: moby daemon/create.go, daemon/names.go, daemon/container.go (lookup by id, name, prefix).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from agent.simulator.containers import Container, Spec, State
from agent.simulator.documents import Description
from agent.simulator.events import Event, Events
from agent.simulator.faults import Faults
from agent.simulator.server import RefusedError, application
from agent.simulator.streams import Stream

DRAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came in: `at` in nanoseconds of the Engine's clock, `path` with its version."""

    method: str
    path: str
    query: Mapping[str, str]
    at: int


class SimulatedEngine:
    """An Engine on a Unix socket while its `async with` lasts. Everything is called from its event loop.

    `seed` decides the containers' ids. `removal_seconds` is how long a removal by `auto_remove` takes:
    meanwhile `/logs` answers 409. With `tcp_port` it also listens on loopback (0: any port, see `tcp_host`).
    """

    def __init__(
        self,
        socket_path: str,
        *,
        api_version: str = "1.51",
        minimum_api_version: str = "1.24",
        engine_version: str = "28.5.2",
        clock: Callable[[], int] = time.time_ns,
        name: str = "simulated",
        seed: int = 1,
        removal_seconds: float = 0.02,
        tcp_port: int | None = None,
    ) -> None:
        self.description = Description(name, engine_version, api_version, minimum_api_version)
        self.faults = Faults()
        self.events = Events()
        self.requests: list[Request] = []
        self.log_bytes_sent = 0
        self.streams: set[Stream] = set()
        self.up = False
        self._clock = clock
        self._containers: dict[str, Container] = {}
        self._random = random.Random(seed)
        self._removal_seconds = removal_seconds
        self._removals: dict[str, asyncio.TimerHandle] = {}
        self._runner: web.AppRunner | None = None
        self._socket_path = Path(socket_path)
        self._stream_closed = asyncio.Event()
        self._tcp_port = tcp_port

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for removal in self._removals.values():
            removal.cancel()
        if self.up:
            await self.go_down()

    # --- for tests and the demo

    @property
    def docker_host(self) -> str:
        """What DOCKER_HOST would say."""
        return f"unix://{self._socket_path}"

    @property
    def tcp_host(self) -> str:
        """What DOCKER_HOST would say for TCP; only with `tcp_port`, while up."""
        return f"tcp://127.0.0.1:{self._tcp_port}"

    @property
    def containers(self) -> tuple[Container, ...]:
        """All that exist, oldest first."""
        return tuple(self._containers.values())

    def create(
        self,
        name: str,
        image: str = "shop/web:1.0",
        *,
        labels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        tty: bool = False,
        driver: str = "json-file",
        log_options: Mapping[str, str] | None = None,
        auto_remove: bool = False,
        restart_policy: str = "no",
    ) -> Container:
        """Create a container, not yet started. ValueError if the name is taken.

        With a `restart_policy` of `always`, `unless-stopped` or `on-failure`, `finish` leaves it in the state
        restarting, until `start`.
        """
        self.claim_name(name)
        spec = Spec(
            image=image,
            labels=dict(labels or {}),
            env=dict(env or {}),
            tty=tty,
            driver=driver,
            log_options=dict(log_options or {}),
            auto_remove=auto_remove,
            restart_policy=restart_policy,
            created=self.now(),
        )
        container = Container(self, self._random.randbytes(32).hex(), name, spec)
        self._containers[container.id] = container
        self.publish(container, "create")
        return container

    async def go_down(self, *, live_restore: bool = True) -> None:
        """Stop the daemon: all streams break off.

        Without `live_restore` containers are stopped first, and their streams reach their end.
        """
        if not live_restore:
            self._stop_containers()
            await self._drain()
        self.up = False
        for stream in tuple(self.streams):
            stream.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._socket_path.unlink(missing_ok=True)

    async def come_back(
        self,
        *,
        api_version: str | None = None,
        minimum_api_version: str | None = None,
        engine_version: str | None = None,
        live_restore: bool = True,
    ) -> None:
        """Start the daemon again, maybe another version: it remembers no events, and reports no starts.

        Containers ran on, and what they wrote since is read now; without `live_restore` those still running,
        as after a crash, are stopped.
        """
        self.description = replace(
            self.description,
            api_version=api_version or self.description.api_version,
            minimum_api_version=minimum_api_version or self.description.minimum_api_version,
            engine_version=engine_version or self.description.engine_version,
        )
        self.events.wipe()
        self.up = True
        for container in self.containers:
            container.daemon_returned()
        if not live_restore:
            self._stop_containers()
        await self._listen()

    # --- for containers

    @property
    def release(self) -> int:
        """The Engine's major version."""
        return self.description.release

    def now(self) -> int:
        """Return the Engine's time, in nanoseconds since the epoch."""
        return self._clock()

    def publish(self, container: Container, action: str, **attributes: str) -> None:
        """Announce what happened to a container."""
        if self.faults.take_loss(container, action):
            return
        known = {**container.spec.labels, "image": container.spec.image, "name": container.name}
        self.events.publish(Event("container", action, container.id, known | attributes, self.now()))

    def remove_soon(self, container: Container) -> None:
        """Remove it after the time that a removal takes."""
        loop = asyncio.get_running_loop()
        self._removals[container.id] = loop.call_later(self._removal_seconds, container.remove)

    def forget(self, container: Container) -> None:
        """It does not exist any more."""
        removal = self._removals.pop(container.id, None)
        if removal is not None:
            removal.cancel()
        del self._containers[container.id]

    def claim_name(self, name: str) -> None:
        """Raise ValueError if a container has this name."""
        if any(container.name == name for container in self._containers.values()):
            raise ValueError(f"the container name /{name} is already in use")

    # --- for the server

    def note(self, method: str, path: str, query: Mapping[str, str]) -> None:
        """Remember that this was asked."""
        self.requests.append(Request(method, path, query, self.now()))

    def find(self, reference: str) -> Container:
        """Return the container with this id, name or beginning of one id. RefusedError if there is none."""
        containers = self._containers
        if reference in containers:
            return containers[reference]
        for container in containers.values():
            if container.name == reference.removeprefix("/"):
                return container
        matching = [c for c in containers.values() if c.id.startswith(reference)]
        if len(matching) > 1:
            raise RefusedError(400, f"Multiple IDs found with provided prefix: {reference}")
        if not matching:
            raise RefusedError(404, f"No such container: {reference}")
        return matching[0]

    def get(self, reference: str) -> Container | None:
        """Return the container that is meant, if there is one."""
        try:
            return self.find(reference)
        except RefusedError:
            return None

    def stream_closed(self, stream: Stream) -> None:
        """This stream has ended."""
        self.streams.discard(stream)
        self._stream_closed.set()

    def _stop_containers(self) -> None:
        for container in self.containers:
            if container.running:
                container.stop()
            elif container.state is State.RESTARTING:
                container.state = State.EXITED

    async def _drain(self) -> None:
        """Let streams of stopped containers reach their end, but not wait for readers that do not read."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while any(stream.ends_with_container for stream in self.streams):
                    self._stream_closed.clear()
                    await self._stream_closed.wait()
        except TimeoutError:
            pass

    async def _listen(self) -> None:
        self._runner = web.AppRunner(
            application(self), access_log=None, handler_cancellation=True, shutdown_timeout=DRAIN_SECONDS
        )
        await self._runner.setup()
        self._socket_path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self._socket_path)).start()
        if self._tcp_port is not None:
            site = web.TCPSite(self._runner, "127.0.0.1", self._tcp_port)
            await site.start()
            self._tcp_port = self._runner.addresses[-1][1]
