"""What the steps did to a container's records, as metrics."""

from __future__ import annotations

from functools import partial

from agent.metrics import Metrics


class ContainerTally:
    """See `agent.pipeline.step.Tally`. With `sink`: for what is done for that sink alone."""

    def __init__(self, metrics: Metrics, container: str, sink: str = "") -> None:
        self._withheld = partial(metrics.withheld_records.labels, container, sink)
        self._unparsed = metrics.unparsed_records.labels(container)
        self._redacted = metrics.redacted_records.labels(container)

    def withheld(self, reason: str, count: int) -> None:
        self._withheld(reason).inc(count)

    def unparsed(self, count: int) -> None:
        self._unparsed.inc(count)

    def redacted(self, count: int) -> None:
        self._redacted.inc(count)
