"""One simulated container: its states, what its process writes, its log and who is attached; no I/O.

Place: between `engine`, which owns the containers, and `log`. Every method is one thing that happens to a
container; it takes effect at once and is announced through the `Daemon` that owns it. Source: moby
daemon/monitor.go (exit), daemon/restart.go, daemon/attach.go, container/state.go.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agent.simulator.copier import PIECE_BYTES, STDERR, STDOUT, STREAMS, Copier, Piece
from agent.simulator.log import Log

ATTACH_CHUNK_BYTES: Final = 32 * 1024
NEVER: Final = 0


class State(enum.Enum):
    """The states of a container, by the names that the API gives them."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"


class Daemon(Protocol):
    """What a container needs of the Engine that owns it."""

    up: bool

    @property
    def release(self) -> int: ...  # the major version

    def now(self) -> int: ...  # nanoseconds since the epoch
    def publish(self, container: Container, action: str, **attributes: str) -> None: ...
    def remove_soon(self, container: Container) -> None: ...
    def forget(self, container: Container) -> None: ...
    def claim_name(self, name: str) -> None: ...


class Attached(Protocol):
    """A client attached to a container's live output. Must never block, whatever its reader does."""

    @property
    def backlog(self) -> int: ...  # bytes that the client has not read

    def deliver(self, stream: int, data: bytes) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Spec:
    """What was decided when the container was created."""

    image: str
    labels: Mapping[str, str]
    env: Mapping[str, str]
    tty: bool
    driver: str
    log_options: Mapping[str, str]
    auto_remove: bool
    restart_policy: str
    created: int


class Container:
    """A simulated container. Made by `SimulatedEngine.create`."""

    def __init__(self, daemon: Daemon, container_id: str, name: str, spec: Spec) -> None:
        self.id = container_id
        self.name = name
        self.spec = spec
        self.state = State.CREATED
        self.started_at = NEVER
        self.finished_at = NEVER
        self.exit_code = 0
        self.restart_count = 0
        self.log = Log()
        self.attached: set[Attached] = set()
        self._daemon = daemon
        self._copiers: dict[int, Copier] = {}
        self._unread: list[tuple[int, bytes, int | None]] = []
        self._unnoticed_exit: int | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process, be it frozen."""
        return self.state in {State.RUNNING, State.PAUSED}

    @property
    def listed(self) -> bool:
        """Whether `docker ps` shows it without `-a`."""
        return self.running or self.state is State.RESTARTING

    @property
    def attached_backlog(self) -> int:
        """Bytes that attached clients have not taken: a real Engine would stop the process at about 1 MB."""
        return sum(client.backlog for client in self.attached)

    # --- what the process does

    def write(self, data: bytes, stream: str = "stdout", at: int | None = None) -> None:
        """The process writes this; the Engine reads it when it is up, and stores it `at` this time (ns), or now.

        ValueError if no process is there to write.
        """
        self._require("to write", State.RUNNING, even_down=True)
        number = STREAMS[stream]
        if self.spec.tty:
            number, data = STDOUT, data.replace(b"\n", b"\r\n")
        self._receive(number, data, at)

    def write_many(self, lines: Sequence[bytes], stream: str = "stdout", at: int | None = None) -> None:
        """The process writes these lines, each given without its newline, in one go.

        Made for benchmarks. The records' times are one nanosecond apart. ValueError as for `write`.
        """
        self._require("to write", State.RUNNING, even_down=True)
        number = STREAMS[stream]
        data = b"\n".join([*lines, b""])
        simple = (
            self.spec.driver != "none"
            and not self.spec.tty
            and self._daemon.up
            and self._copiers[number].at_line_start
            and (self.spec.driver != "json-file" or data.isascii())
            and data.count(b"\n") == len(lines)
            and max(map(len, lines), default=0) < PIECE_BYTES
        )
        if not simple:
            self.write(data, stream, at)
            return
        start = self._daemon.now() if at is None else at
        times = range(start, start + len(lines))
        self.log.extend(Piece(number, time, line + b"\n") for time, line in zip(times, lines, strict=True))
        self._show(number, data)

    def finish(self, exit_code: int = 0) -> None:
        """The process exits: the log is completed, streams end, `die` follows, then what the policies say.

        While the Engine is down nobody notices; all this happens when it is back.
        """
        self._require("to finish", State.RUNNING, State.PAUSED, even_down=True)
        if not self._daemon.up:
            self._unnoticed_exit = exit_code
            return
        self._exit(exit_code)
        if self.spec.auto_remove:
            self.state = State.REMOVING
        elif self._restarts(exit_code):
            self.state = State.RESTARTING
        self._die()
        if self.spec.auto_remove:
            self._daemon.remove_soon(self)

    # --- what the Engine does with it

    def start(self) -> None:
        """Start the process, as `docker start` or the restart policy does."""
        self._require("to start", State.CREATED, State.EXITED, State.RESTARTING)
        if self.state is State.RESTARTING:
            self.restart_count += 1
        self._run()
        self._daemon.publish(self, "start")

    def stop(self, exit_code: int = 137) -> None:
        """Stop the process, as `docker stop` does: no restart policy applies."""
        self._require("to stop", State.RUNNING, State.PAUSED)
        self._daemon.publish(self, "kill", signal="15")
        self._exit(exit_code)
        self.state = State.REMOVING if self.spec.auto_remove else State.EXITED
        self._die()
        self._daemon.publish(self, "stop")
        if self.spec.auto_remove:
            self._daemon.remove_soon(self)

    def restart(self, exit_code: int = 137) -> None:
        """Stop it if it runs, and start it, as `docker restart` does."""
        if self.running:
            self._daemon.publish(self, "kill", signal="15")
            self._exit(exit_code)
            self._die()
            self._daemon.publish(self, "stop")
        self.start()
        self._daemon.publish(self, "restart")

    def pause(self) -> None:
        """Freeze the process."""
        self._require("to pause", State.RUNNING)
        self.state = State.PAUSED
        self._daemon.publish(self, "pause")

    def unpause(self) -> None:
        """Let the process go on."""
        self._require("to unpause", State.PAUSED)
        self.state = State.RUNNING
        self._daemon.publish(self, "unpause")

    def rename(self, new: str) -> None:
        """Give it another name. ValueError if another container has it."""
        self._daemon.claim_name(new)
        old, self.name = self.name, new
        self._daemon.publish(self, "rename", oldName=f"/{old}")

    def remove(self) -> None:
        """Remove it, as `docker rm -f` does. Readers that are open get the rest of its log."""
        if self.running:
            self._daemon.publish(self, "kill", signal="9")
            self._exit(137)
            self._die()
        self.state = State.REMOVING
        self._daemon.forget(self)
        self._daemon.publish(self, "destroy")

    def check_health(self, times: int = 1, status: str = "healthy") -> None:
        """Run the health check so often: four events each, which push others out of the Engine's ring."""
        command = "/bin/sh -c check-health"
        for _ in range(times):
            self._daemon.publish(self, f"exec_create: {command}")
            self._daemon.publish(self, f"exec_start: {command}")
            self._daemon.publish(self, "exec_die", exitCode="0")
            self._daemon.publish(self, f"health_status: {status}")

    # --- what happens to its log, other than writing

    def append_raw(self, stream: str, payload: bytes, at: int) -> None:
        """Store one record exactly as given: for drivers with habits of their own."""
        self.log.extend([Piece(STREAMS[stream], at, payload)])

    def truncate_log(self, keep: int) -> None:
        """Rotate: forget all but the newest `keep` records. Open readers lose nothing."""
        self.log.truncate(keep)

    def damage_log(self) -> None:
        """Damage the file here: records from now on are found by `tail` and by open followers only."""
        self.log.damage()

    # --- for the Engine

    def attach(self, client: Attached) -> None:
        """Show this client the live output until the next exit."""
        self.attached.add(client)

    def detach(self, client: Attached) -> None:
        """The client is gone."""
        self.attached.discard(client)

    def daemon_returned(self) -> None:
        """The Engine is back: it reads what waited in the pipe, stamps it now, and notices an exit."""
        unread, self._unread = self._unread, []
        for stream, data, at in unread:
            self._receive(stream, data, at)
        exit_code, self._unnoticed_exit = self._unnoticed_exit, None
        if exit_code is not None:
            self.finish(exit_code)

    def _require(self, what: str, *states: State, even_down: bool = False) -> None:
        if self.state not in states or self._unnoticed_exit is not None:
            raise ValueError(f"container {self.name} is {self.state.value}: not in a state {what}")
        if not (self._daemon.up or even_down):
            raise ValueError(f"the Engine is down: container {self.name} has nobody {what} it")

    def _receive(self, stream: int, data: bytes, at: int | None) -> None:
        if not self._daemon.up:
            self._unread.append((stream, data, at))
            return
        now: Callable[[], int] = self._daemon.now if at is None else lambda: at
        self._store(self._copiers[stream].write(data, now))
        self._show(stream, data)

    def _store(self, pieces: list[Piece]) -> None:
        if pieces and self.spec.driver != "none":
            self.log.extend(pieces)

    def _show(self, stream: int, data: bytes) -> None:
        for client in self.attached:
            for start in range(0, len(data), ATTACH_CHUNK_BYTES):
                client.deliver(stream, data[start : start + ATTACH_CHUNK_BYTES])

    def _run(self) -> None:
        keeps_newlines = not (self.spec.driver == "local" and self._daemon.release < 23)
        self._copiers = {
            stream: Copier(stream, driver=self.spec.driver, ends_long_lines=keeps_newlines)
            for stream in (STDOUT, STDERR)
        }
        self.state = State.RUNNING
        self.started_at = self._daemon.now()

    def _exit(self, exit_code: int) -> None:
        """Everything the process wrote is in the log and on its way before anyone hears that it died."""
        for copier in self._copiers.values():
            self._store(copier.finish(self._daemon.now))
        self.log.close_followers()
        clients, self.attached = self.attached, set()
        for client in clients:
            client.end()
        self.state, self.exit_code, self.finished_at = State.EXITED, exit_code, self._daemon.now()

    def _die(self) -> None:
        attributes = {"exitCode": str(self.exit_code)}
        if self._daemon.release >= 23:
            attributes["execDuration"] = str(max(0, self.finished_at - self.started_at) // 1_000_000_000)
        self._daemon.publish(self, "die", **attributes)

    def _restarts(self, exit_code: int) -> bool:
        policy = self.spec.restart_policy
        return policy in {"always", "unless-stopped"} or (policy == "on-failure" and exit_code != 0)
