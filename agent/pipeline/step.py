"""What a step of the pipeline is: batch → batch, for one container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.batch import Batch


class Step(Protocol):
    """Works on the batches of one container, in their order."""

    def __call__(self, batch: Batch) -> Batch:
        """The same object when nothing changes; maybe empty. Never raises for what a container wrote."""
        ...


class Holding(Protocol):
    """A step that keeps something back for a while. Times are monotonic, in seconds."""

    def feed(self, batch: Batch, now: float) -> Sequence[Batch]:
        """What may go on now, in order; `batch` itself when nothing is kept back."""
        ...

    def due(self) -> float | None:
        """When to `flush`; None: nothing is kept back."""
        ...

    def flush(self, now: float) -> Sequence[Batch]:
        """What has been kept back long enough."""
        ...

    def finish(self) -> Sequence[Batch]:
        """All that is kept back: nothing follows."""
        ...


class Tally(Protocol):
    """Where steps enter what they did to a container's records."""

    def withheld(self, reason: str, count: int) -> None:
        """Left out, as was asked for by this step: `drop`, `keep`, `min_level`, `sample`, `rate` or `redact`."""
        ...

    def unparsed(self, count: int) -> None:
        """Went on as plain text."""
        ...

    def redacted(self, count: int) -> None:
        """Had something masked or hashed."""
        ...
