"""What the agent tells of itself, and the judgement of its health. No I/O; time is an argument."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Protocol

from agent.batch import Container

#: A sink that was throttled, or whose receiver is restarted, is soon well again: no reason for an alarm.
PATIENCE_S: Final = 60.0
_WELL: Final = frozenset({"idle", "delivering"})


class SinkStatus(Protocol):
    """How a sink fares. Times are monotonic, in seconds."""

    @property
    def state(self) -> str:
        """One of starting, idle, delivering, retrying, held."""

    @property
    def since(self) -> float:
        """When it came into this state."""

    @property
    def last_success(self) -> float | None:
        """When the receiver accepted something last."""

    @property
    def last_error(self) -> str | None:
        """Why it did not, last; no secret in it."""

    @property
    def retries(self) -> int:
        """Requests sent again since it was last well."""


class ContainerStatus(Protocol):
    """One container that is read."""

    @property
    def container(self) -> Container: ...

    @property
    def mode(self) -> str:
        """`logs` or `attach`."""

    @property
    def newest_ns(self) -> int:
        """Time of the newest record that was read, ns since the epoch; 0: none yet."""


class Status(Protocol):
    """How the agent fares, at the moment it is asked."""

    @property
    def engine_connected(self) -> bool: ...

    @property
    def engine(self) -> str:
        """Which Engine, as a person knows it."""

    @property
    def containers(self) -> Collection[ContainerStatus]: ...

    @property
    def sinks(self) -> Mapping[str, SinkStatus]: ...

    @property
    def spool_degraded(self) -> str | None:
        """Why the disk is not being written; None: it is."""

    @property
    def spool_max_bytes(self) -> int | None:
        """The bound on disk; None: memory mode."""

    @property
    def memory_max_bytes(self) -> int: ...


def reasons(status: Status, now: float) -> Iterator[str]:
    """Why the agent is not ready, a sentence each; nothing: it is. `now` is monotonic, in seconds."""
    if not status.engine_connected:
        yield f"the Engine does not answer: {status.engine}"
    for name, sink in status.sinks.items():
        if sink.state not in _WELL and now - sink.since > PATIENCE_S:
            why = f": {sink.last_error}" if sink.last_error else ""
            yield f"sink {name} is {sink.state} for {now - sink.since:.0f} s{why}"


def sink_facts(sink: SinkStatus, now: float) -> dict[str, object]:
    """A sink's status for JSON, with ages instead of monotonic times."""
    return {
        "state": sink.state,
        "for_seconds": round(now - sink.since, 1),
        "last_success_seconds_ago": None if sink.last_success is None else round(now - sink.last_success, 1),
        "last_error": sink.last_error,
        "retries": sink.retries,
    }
