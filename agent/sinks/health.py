"""How a sink is: what its last answers say, for readiness, metrics and the agent's own log.

The log gets one line when a sink goes bad and one when it is well again, however often it was asked in
between; a sink that flaps is reported at most every `ANNOUNCE_EVERY_S`.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Gauge

log = logging.getLogger(__name__)
ANNOUNCE_EVERY_S = 10.0


class State(enum.StrEnum):
    """What a sink is doing. `held`: nothing will pass until a person mends something."""

    STARTING = "starting"
    IDLE = "idle"
    DELIVERING = "delivering"
    RETRYING = "retrying"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """A sink at one moment. Times are monotonic seconds.

    since    when it came into this state
    retries  requests sent again since it was last well
    """

    state: State
    since: float
    last_success: float | None
    last_error: str | None
    retries: int


class Health:
    """Keeps a sink's state from what becomes of its requests, each known by a token of its own."""

    def __init__(self, name: str, up: Gauge, now: Callable[[], float]) -> None:
        self._name = name
        self._up = up
        self._now = now
        self._state = State.STARTING
        self._since = now()
        self._last_success: float | None = None
        self._last_error: str | None = None
        self._retries = 0
        self._opened = False
        self._under_way: set[object] = set()
        self._failing: set[object] = set()
        self._held: set[object] = set()
        self._bad_since: float | None = None
        self._announced: set[State] = set()
        self._announced_at: dict[State, float] = {}

    @property
    def snapshot(self) -> SinkHealth:
        """The sink as it is now."""
        return SinkHealth(self._state, self._since, self._last_success, self._last_error, self._retries)

    def starting(self) -> None:
        """The sink is about to be opened: no request is under way."""
        self._opened = False
        for tokens in (self._under_way, self._failing, self._held):
            tokens.clear()
        self._turn()

    def opened(self) -> None:
        """The sink takes requests."""
        self._opened = True
        if self._bad_since is None:
            self._up.set(1)
        self._turn()

    def begin(self, token: object) -> None:
        """A request is under way, until `end`."""
        self._under_way.add(token)
        self._turn()

    def end(self, token: object) -> None:
        """The request is done with, or was cancelled."""
        for tokens in (self._under_way, self._failing, self._held):
            tokens.discard(token)
        self._turn()

    def retried(self) -> None:
        """A request is sent again."""
        self._retries += 1

    def failed(self, token: object, why: str) -> None:
        """The receiver did not take the request, and may take it later."""
        self._failing.add(token)
        self._held.discard(token)
        self._bad(why)
        self._announce(State.RETRYING, logging.WARNING, "sink %s fails and is tried again: %s", why)

    def held(self, token: object, why: str) -> None:
        """Nothing will pass until a person mends something."""
        self._held.add(token)
        self._bad(why)
        self._announce(
            State.HELD,
            logging.ERROR,
            "sink %s waits until this is mended (its records wait with it): %s",
            why,
        )

    def accepted(self) -> None:
        """The receiver took records."""
        self._last_success = self._now()

    def answered(self, token: object) -> None:
        """The receiver judged the request and is well, whatever it thinks of the records."""
        self._failing.discard(token)
        self._held.discard(token)
        if not (self._failing or self._held):
            self._well()
        self._turn()

    def _bad(self, why: str) -> None:
        self._up.set(0)
        self._last_error = why
        if self._bad_since is None:
            self._bad_since = self._now()
        self._turn()

    def _well(self) -> None:
        self._up.set(1)
        if self._bad_since is None:
            return
        if self._announced:
            lasted = self._now() - self._bad_since
            log.info("sink %s is well again after %.1f s and %d retries", self._name, lasted, self._retries)
        self._bad_since = None
        self._announced.clear()
        self._retries = 0

    def _announce(self, state: State, level: int, text: str, why: str) -> None:
        before = self._announced_at.get(state, float("-inf"))
        if state not in self._announced and self._now() - before >= ANNOUNCE_EVERY_S:
            self._announced.add(state)
            self._announced_at[state] = self._now()
            log.log(level, text, self._name, why)

    def _turn(self) -> None:
        state = self._judge()
        if state is not self._state:
            self._state = state
            self._since = self._now()

    def _judge(self) -> State:
        if self._held:
            return State.HELD
        if self._failing:
            return State.RETRYING
        if not self._opened:
            return State.STARTING
        return State.DELIVERING if self._under_way else State.IDLE
