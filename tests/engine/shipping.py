"""The agent as a process of its own, as users run it, and what arrives at its sinks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from docker.models.containers import Container

from agent.spool import inspect

#: Settings of whoever runs the tests must not reach the agent under test.
_PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKFERRY_", "DOCKER_"))}


#: Nobody waits longer: a machine under load is slow, a lost record never comes.
DEADLINE_S = 150.0


def until(
    true: Callable[[], bool], what: str, *, seconds: float = DEADLINE_S, told: Callable[[], str] = str
) -> None:
    """Wait until `true()`; fails with `what`, and what `told` has to say, when it takes longer."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{told()}"
        time.sleep(0.02)


class Agent:
    """`dockferry run`, its settings given as variables without their prefix; restartable on the same state.

    source  the DOCKFERRY_SOURCE of every agent that is not told another
    prefix  the command that runs it, such as `nice`; it has to become the agent by exec
    """

    source = "auto"
    prefix: Sequence[str] = ()

    def __init__(self, host: str, directory: Path, sinks: Mapping[str, str], **settings: str) -> None:
        self.state = directory / "state"
        self.log = directory / "agent.log"
        self.environ = _PLAIN | {
            "DOCKER_HOST": host,
            "DOCKFERRY_STATE": str(self.state),
            "DOCKFERRY_HTTP": "off",
            "DOCKFERRY_SOURCE": self.source,
        }
        self.environ |= {f"DOCKFERRY_SINK_{name.upper()}": url for name, url in sinks.items()}
        self.environ |= {f"DOCKFERRY_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it is connected to the Engine."""
        seen = len(self.said())
        self.launch()
        until(lambda: "connected to" in self.said()[seen:], "the agent is connected", told=self.said)

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "agent", "run"], env=self.environ, stdout=log, stderr=log
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def said(self) -> str:
        """Its own log (and what the console sink printed)."""
        return self.log.read_text() if self.log.exists() else ""

    def lost(self, cause: str) -> set[str | None]:
        """The containers of which it reported that records are lost, by this cause."""
        return set(re.findall(rf"lost .* records of container (\S+) between .*: {cause}", self.said()))

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def waiting(self, *sinks: str) -> int:
        """Records in its spool, for these sinks or for all."""
        return sum(each.records for each in inspect(self.state) if not sinks or each.name in sinks)

    def peak_mib(self) -> float:
        """The most memory it had resident, so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


class Lines:
    """A TCP receiver of JSON lines in a thread; keeps each record's message, in order of arrival.

    deaf  it takes connections and reads nothing until it is told to; its kernel acknowledges a few lines all the same
    """

    def __init__(self, *, deaf: bool = False) -> None:
        self.messages: list[str] = []
        self._hears = threading.Event()
        if not deaf:
            self.hear()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, name="lines", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._socket, *self._peers):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(5)

    def hear(self) -> None:
        """Read from now on, and what has come so far."""
        self._hears.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                self._peers.append(peer)
                threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        self._hears.wait()
        with contextlib.suppress(OSError), peer.makefile("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):  # a line cut off by a kill is sent again, whole
                    self.messages.append(json.loads(line)["message"])


def records(path: Path) -> list[dict[str, Any]]:
    """The records in an NDJSON file and its rotated, uncompressed elders, oldest first."""
    return list(_records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    elders = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    for each in (*elders, path):
        if each.exists():
            with each.open("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):  # else it is being written this very moment
                        yield json.loads(line)


def messages(path: Path) -> list[str]:
    """The records' messages."""
    return [record["message"] for record in records(path)]


def twice(all_of_them: list[str]) -> dict[str, int]:
    """Those that came more than once."""
    return {text: count for text, count in Counter(all_of_them).items() if count > 1}


def unread(made: Sequence[Container], path: Path) -> set[str | None]:
    """Of containers numbered in this order that ran `containers.fleeting`, those whose two lines have not come."""
    arrived = set(messages(path))
    return {
        container.name
        for number, container in enumerate(made)
        if not {f"first {number}", f"last {number}"} <= arrived
    }
