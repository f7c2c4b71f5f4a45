"""The agent in quarters of its own: names, descriptors, memory and disk that a storm can change."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos.shipping import Agent
from tests.engine.shipping import until

_CGROUPS = Path("/sys/fs/cgroup")
_STEP_BYTES = 1 << 20
_ENTER = 'echo $$ >"$1"; mount --bind "$2" /etc/hosts; shift 2; exec "$@"'


class ConfinedAgent(Agent):
    """An agent with an /etc/hosts of its own, in the cgroup `room`. Needs root."""

    def __init__(
        self, host: str, directory: Path, sinks: Mapping[str, str], room: Memory, **settings: str
    ) -> None:
        super().__init__(host, directory, sinks, **settings)
        self._hosts = directory / "hosts"
        self.resolve({})
        enter = ["sh", "-ec", _ENTER, "sh", str(room.tasks), str(self._hosts)]
        self.prefix = ("unshare", "--mount", "--propagation", "slave", *enter)

    def resolve(self, names: Mapping[str, str]) -> None:
        """From now on these names have these addresses."""
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in names.items())]
        self._hosts.write_text("".join(f"{line}\n" for line in lines))

    def limit_descriptors(self, more: int | None) -> None:
        """So many besides those that are open; None: as many as it began with."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = most[0] if more is None else min(most[0], self.descriptors() + more)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (soft, most[1]))

    def descriptors(self) -> int:
        """How many are open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


class Memory:
    """A cgroup with a limit that can be changed, of version 1 or 2."""

    def __init__(self, name: str) -> None:
        old = _CGROUPS / "memory"
        self._directory = (old if old.is_dir() else _CGROUPS) / name
        first = ("usage_in_bytes", "limit_in_bytes", "oom_control")
        files = first if old.is_dir() else ("current", "max", "events")
        self._used, self._most, self._events = (self._directory / f"memory.{file}" for file in files)

    @property
    def tasks(self) -> Path:
        """Who writes its process id there is in it, and its children."""
        return self._directory / "cgroup.procs"

    @contextlib.contextmanager
    def standing(self) -> Iterator[Memory]:
        """It is there while the block lasts, by whose end all in it have ended."""
        self._directory.mkdir()
        try:
            yield self
        finally:
            until(lambda: not self.tasks.read_text(), "the agent and its watchdog are gone")
            self._directory.rmdir()

    def tighten(self) -> None:
        """Leave no room for anything more: what is in it and asks for more is killed."""
        with contextlib.suppress(OSError):  # EBUSY: nothing more can be taken back
            for limit in range(int(self._used.read_text()) // 4096 * 4096, 0, -_STEP_BYTES):
                self._most.write_text(str(limit))

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed in it for want of memory."""
        lines = (line.split() for line in self._events.read_text().splitlines())
        return next(int(count) for name, count in lines if name == "oom_kill")

    def loosen(self) -> None:
        """No limit."""
        self._most.write_text("-1" if "limit" in self._most.name else "max")


class Disk:
    """A small file system that can be filled up."""

    def __init__(self, path: Path, size: str) -> None:
        self._path, self._size = path, size

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Disk]:
        """It is there while the block lasts."""
        self._path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size}", "none", self._path], check=True)
        try:
            yield self
        finally:
            subprocess.run(["umount", "--lazy", self._path], check=True)

    def fill(self) -> None:
        """Take all the room there is."""
        with contextlib.suppress(OSError), (self._path / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        """Give it back."""
        (self._path / "ballast").unlink(missing_ok=True)
