"""What becomes of records that will not be delivered: kept, counted, and reported now and then."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from agent.losses import Cause, Losses
from agent.metrics import Metrics
from agent.sinks.health import Health
from agent.sinks.letterbox import DeadLetters, Dropped, Refusal
from agent.sinks.pace import Pace

log = logging.getLogger(__name__)
REPORT_EVERY_S = 10.0


@dataclass(slots=True)
class _Unreported:
    records: int = 0
    why: str = ""


class Refusals:
    """One sink's way to the dead letters."""

    def __init__(
        self, dead_letters: DeadLetters, health: Health, *, metrics: Metrics, losses: Losses, pace: Pace
    ) -> None:
        self._dead_letters = dead_letters
        self._health = health
        self._metrics = metrics
        self._losses = losses
        self._pace = pace
        self._unreported: dict[str, _Unreported] = {}
        self._reported_at = float("-inf")

    async def keep(self, token: object, refusals: Sequence[Refusal], cause: Cause) -> None:
        """Returns when these are in the dead letters, however long the disk cannot be written.

        Where there is no disk they are lost, and entered as such; given up ones are entered in any case.
        """
        for lost in await self._write(token, refusals):
            self._lose(Cause.DEAD_LETTERS_FULL, lost)
        for refusal in refusals:
            self._enter(refusal, cause)
        self.report()

    def report(self, *, at_once: bool = False) -> None:
        """Log what was refused since the last report, if that is `REPORT_EVERY_S` ago or `at_once`."""
        now = self._pace.now()
        if not self._unreported or not (at_once or now - self._reported_at >= REPORT_EVERY_S):
            return
        self._reported_at = now
        for container, refused in self._unreported.items():
            log.warning(
                "sink %s refused %d records of container %s: %s (%s)",
                self._dead_letters.name,
                refused.records,
                container,
                refused.why,
                "not kept: there is no state directory"
                if self._dead_letters.path is None
                else f"kept in {self._dead_letters.path}; `dockferry spool replay` sends them again",
            )
        self._unreported.clear()

    async def _write(self, token: object, refusals: Sequence[Refusal]) -> Sequence[Dropped]:
        attempt = 0
        while True:
            try:
                dropped = await self._dead_letters.add(refusals)
            except OSError as error:
                attempt += 1
                self._health.held(token, f"{self._dead_letters.path} cannot be written ({error})")
                await self._pace.sleep(self._pace.hold(attempt))
                continue
            if attempt:
                self._health.answered(token)
            return dropped

    def _enter(self, refusal: Refusal, cause: Cause) -> None:
        container, records = refusal.batch.container.name, len(refusal.batch)
        self._metrics.refused_records.labels(self._dead_letters.name, container).inc(records)
        unreported = self._unreported.setdefault(container, _Unreported())
        unreported.records += records
        unreported.why = unreported.why or refusal.why
        if cause is Cause.GAVE_UP or self._dead_letters.path is None:
            stamps = refusal.batch.timestamps
            self._lose(cause, Dropped(container, records, min(stamps), max(stamps)), refusal.why)

    def _lose(self, cause: Cause, lost: Dropped, why: str = "") -> None:
        self._losses.record(
            cause,
            container=lost.container,
            now=self._pace.now(),
            first_ns=lost.first_ns,
            last_ns=lost.last_ns,
            records=lost.records,
            sink=self._dead_letters.name,
            why=why,
        )
