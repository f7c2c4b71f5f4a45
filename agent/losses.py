"""What is lost all the same: counted by cause, and reported with container and time range.

Silence means nothing was lost. A report is a line in the agent's log, at most one every few seconds for one
(cause, container, sink); what came in between is in the next.
"""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass
from typing import Self

from agent.batch import rfc3339
from agent.metrics import Metrics

log = logging.getLogger(__name__)
REPORT_EVERY_S = 10.0


class Cause(enum.Enum):
    """Why records were lost; the value is the label of the metric."""

    ROTATED = "rotated_away", "the Engine's log file was rotated away before it could be read"
    REMOVED = "container_removed", "the container was removed before its log was read"
    DAMAGED = "log_file_damaged", "the Engine cannot read its own log file there"
    NO_LOG = "no_log", "the container's logging driver keeps no log to fill a gap from"
    SPOOL_FULL = (
        "spool_full",
        "the spool was full and DOCKFERRY_ON_FULL or the sink's `on_full` is drop_oldest",
    )
    GAVE_UP = "retry_for_exceeded", "the receiver accepted nothing for as long as the sink's `retry_for`"
    REFUSED = "refused", "the receiver refused them, and in memory mode there are no dead letters"
    DEAD_LETTERS_FULL = "dead_letters_full", "the oldest dead letters made room for newer ones"
    UNREADABLE = "spool_unreadable", "the spool's file is damaged there"
    SINK_REMOVED = "sink_removed", "the sink is no longer configured, and they waited for it"
    SHUTDOWN = "shutdown_in_memory_mode", "the agent ended with records that no sink had yet, in memory mode"

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """A cause by its label, and what it means to a person."""
        cause = object.__new__(cls)
        cause._value_ = value
        cause.meaning = meaning
        return cause


@dataclass(slots=True)
class _Tally:
    """What was not told yet. `estimated`: about so many besides `records`; `certain`: and that is all."""

    records: int = 0
    estimated: int = 0
    certain: bool = True
    first_ns: int = 0
    last_ns: int = 0
    why: str = ""
    reported_at: float = float("-inf")

    @property
    def is_empty(self) -> bool:
        return self.certain and not self.records and not self.estimated

    @property
    def said(self) -> str:
        number = str(self.records)
        if self.estimated:
            number = f"about {_rounded(self.records + self.estimated):,}"
        return number if self.certain else f"an unknown number of (at least {number})"


def _rounded(number: int) -> int:
    """To three digits: the others would say more than is known."""
    return round(number, 3 - len(str(number)))


class Losses:
    """The one book of losses. `now` is a monotonic time in seconds, given by the caller."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tallies: dict[tuple[Cause, str, str], _Tally] = {}

    def record(
        self,
        cause: Cause,
        *,
        container: str,
        now: float,
        first_ns: int,
        last_ns: int,
        records: int | None = None,
        estimated: bool = False,
        sink: str = "",
        why: str = "",
    ) -> None:
        """Enter a loss. `records` None: how many is not known, only the time range (ns since the epoch).

        estimated  `records` is about right
        """
        self._metrics.lost_records.labels(cause.value, container, sink).inc(records or 1)
        tally = self._tallies.setdefault((cause, container, sink), _Tally())
        if tally.is_empty:
            tally.first_ns, tally.last_ns = first_ns, last_ns
        tally.first_ns, tally.last_ns = min(tally.first_ns, first_ns), max(tally.last_ns, last_ns)
        if estimated:
            tally.estimated += records or 0
        else:
            tally.records += records or 0
        tally.certain &= records is not None
        tally.why = why or tally.why
        if now - tally.reported_at >= REPORT_EVERY_S:
            self._report(cause, container, sink, tally, now)

    def flush(self, now: float) -> None:
        """Report what has not been reported yet: now and then, and before the end."""
        for (cause, container, sink), tally in self._tallies.items():
            if not tally.is_empty:
                self._report(cause, container, sink, tally, now)

    def _report(self, cause: Cause, container: str, sink: str, tally: _Tally, now: float) -> None:
        log.warning(
            "lost %s records of container %s%s between %s and %s: %s%s",
            tally.said,
            container,
            f" for sink {sink}" if sink else "",
            rfc3339(tally.first_ns).decode(),
            rfc3339(tally.last_ns).decode(),
            cause.value,
            f" ({tally.why})" if tally.why else "",
        )
        self._tallies[cause, container, sink] = _Tally(reported_at=now)
