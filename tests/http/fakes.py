"""What the server is given, made up: statuses as app.py and the runner give them, a spool that can be tapped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from agent.batch import Batch, Container, Stream


@dataclass(frozen=True)
class FakeSink:
    """A sink's status, as the runner gives it."""

    state: str = "idle"
    since: float = 0.0
    last_success: float | None = None
    last_error: str | None = None
    retries: int = 0


@dataclass(frozen=True)
class FakeReader:
    """A container that is read."""

    container: Container
    mode: str = "logs"
    newest_ns: int = 0


@dataclass
class FakeStatus:
    """The agent's status, as app.py gives it."""

    engine_connected: bool = True
    engine: str = "Docker Engine 28.5.2"
    containers: Collection[FakeReader] = ()
    sinks: dict[str, FakeSink] = field(default_factory=lambda: {"loki": FakeSink()})
    spool_degraded: str | None = None
    spool_max_bytes: int | None = 1 << 30
    memory_max_bytes: int = 64 << 20


@dataclass
class FakeSpool:
    """What is put into it goes to the tap, if there is one."""

    tap: Callable[[Sequence[Batch]], None] | None = None

    @property
    def tapped(self) -> bool:
        return self.tap is not None

    def put(self, *batches: Batch) -> None:
        if self.tap is not None:
            self.tap(batches)


@dataclass(frozen=True)
class FakeLetters:
    """Dead letters, as they are read."""

    letters: list[dict[str, object]] = field(default_factory=list)
    more: bool = False


def container(name: str = "web", project: str | None = None) -> Container:
    """One of its own for each name."""
    hex_id = name.encode().hex().ljust(64, "0")
    return Container(id=hex_id, name=name, image="i", tag=name, host="h", project=project)


def batch(*lines: bytes, of: Container | None = None, levels: bytes | None = None) -> Batch:
    """Lines of stdout, a millisecond apart."""
    stamps = [1_795_449_226_489_633_114 + row * 1_000_000 for row in range(len(lines))]
    return Batch(of or container(), Stream.STDOUT, stamps, list(lines), levels=levels)
