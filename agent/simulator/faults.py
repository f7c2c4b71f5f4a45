"""What can be made to go wrong with a simulated Engine: each fault at a chosen place, so many times.

Place: asked by `server` before it answers, and by `streams` when one begins; no I/O, no chance: the same
calls give the same faults. Log files are spoilt through the container (`Container.damage_log`), clocks
through `SteppableClock`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent.simulator.containers import Container
from agent.simulator.course import Course, Cut, CutEvery, Hang, Repeat, ReportError, Skip, StreamEffect

Route = Literal["ping", "version", "info", "events", "list", "inspect", "logs", "stats", "attach"]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status instead; `method` None: any."""

    status: int
    message: str
    method: str | None


@dataclass(frozen=True, slots=True)
class Delay:
    """Answer this much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoseEvent:
    """Nobody hears of an event; no actions: of any."""

    actions: frozenset[str]


Effect = Refuse | Delay | LoseEvent | StreamEffect


@dataclass(slots=True)
class _Rule:
    effect: Effect
    route: Route | None
    container: Container | None
    left: int | None  # None: for ever

    def concerns(self, route: Route, container: Container | None) -> bool:
        return (
            self.left != 0
            and self.route in {None, route}
            and (self.container is None or self.container is container)
        )

    def befall(self, course: Course) -> bool:
        """Happen to this stream if it can; return whether it does."""
        befalls = isinstance(self.effect, StreamEffect) and course.meet(self.effect)
        if befalls:
            self.use()
        return befalls

    def use(self) -> None:
        if self.left is not None:
            self.left -= 1


class Faults:
    """The faults in force. `count`: how many requests, streams or events one befalls; None: all.

    Faults of streams also meet those already open; what they count (`after` records, `after_bytes`) is
    counted from that moment on.
    """

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._courses: dict[Course, tuple[Route, Container | None]] = {}

    def clear(self) -> None:
        """Nothing goes wrong any more, except for streams that have met their fault."""
        self._rules.clear()

    # --- requests

    def refuse(
        self,
        status: int,
        message: str = "refused by a fault",
        *,
        route: Route | None = None,
        container: Container | None = None,
        method: str | None = None,
        count: int | None = 1,
    ) -> None:
        """Answer the next requests with this status and moby's JSON form of the message."""
        self._add(Refuse(status, message, method), route, container, count)

    def forbid_post(self) -> None:
        """Be a proxy that lets only GET and HEAD through: 403 to every POST."""
        self.refuse(403, "Forbidden", method="POST", count=None)

    def delay(
        self,
        seconds: float,
        *,
        route: Route | None = None,
        container: Container | None = None,
        count: int | None = 1,
    ) -> None:
        """Answer the next requests so much later."""
        self._add(Delay(seconds), route, container, count)

    # --- streams

    def cut(
        self,
        after_bytes: int = 0,
        *,
        reset: bool = False,
        route: Route | None = "logs",
        container: Container | None = None,
        count: int | None = 1,
    ) -> None:
        """End a stream after so many bytes, wherever in a frame that is: clean EOF, or a reset.

        A reset is a body without its last chunk; over a Unix socket an HTTP/1.0 client cannot tell it from
        EOF.
        """
        self._add(Cut(after_bytes, reset), route, container, count)

    def cut_every(
        self,
        seconds: float,
        *,
        idle_only: bool = False,
        reset: bool = True,
        route: Route | None = None,
        container: Container | None = None,
    ) -> None:
        """Be a proxy with a timeout: on the age of a stream, or on its silence."""
        self._add(CutEvery(seconds, idle_only, reset), route, container, None)

    def hang(self, after: int = 0, *, container: Container | None = None, count: int | None = 1) -> None:
        """Let a follow send nothing more after so many records, though more come and the container ends."""
        self._add(Hang(after), "logs", container, count)

    def repeat(
        self,
        records: int,
        *,
        after: int | None = None,
        container: Container | None = None,
        count: int | None = 1,
    ) -> None:
        """Let a follow that has sent `after` records (default: as many) send the last `records` again."""
        self._add(Repeat(records, records if after is None else after), "logs", container, count)

    def skip(
        self, records: int, *, after: int = 0, container: Container | None = None, count: int | None = 1
    ) -> None:
        """Let a follow leave out `records` when it has sent `after`, as if it missed a rotation."""
        self._add(Skip(records, after), "logs", container, count)

    def report_error(
        self,
        text: str,
        *,
        after: int = 0,
        go_on: bool = False,
        container: Container | None = None,
        count: int | None = 1,
    ) -> None:
        """Put `Error grabbing logs: text` into a log stream: a frame of type 3, or the bare text with a TTY.

        moby ends the stream there; with `go_on` it does not.
        """
        self._add(ReportError(text, after, go_on), "logs", container, count)

    # --- events

    def lose_events(self, *actions: str, container: Container | None = None, count: int | None = 1) -> None:
        """Let the next events (with these actions) get lost: neither listeners nor the ring have them."""
        self._add(LoseEvent(frozenset(actions)), None, container, count)

    # --- asked by the Engine

    def take_refusal(self, route: Route, container: Container | None, method: str) -> Refuse | None:
        """Return how this request is to be refused."""
        for rule in self._rules:
            effect = rule.effect
            if (
                isinstance(effect, Refuse)
                and effect.method in {None, method}
                and rule.concerns(route, container)
            ):
                rule.use()
                return effect
        return None

    def take_delay(self, route: Route, container: Container | None) -> float:
        """Return how many seconds this request is to wait."""
        seconds = 0.0
        for rule in self._rules:
            if isinstance(rule.effect, Delay) and rule.concerns(route, container):
                rule.use()
                seconds += rule.effect.seconds
        return seconds

    def take_loss(self, container: Container, action: str) -> bool:
        """Return whether this event is lost."""
        for rule in self._rules:
            effect = rule.effect
            if (
                isinstance(effect, LoseEvent)
                and (not effect.actions or action in effect.actions)
                and rule.concerns("events", container)
            ):
                rule.use()
                return True
        return False

    def open_course(
        self, route: Route, container: Container | None, wake: Callable[[], None], *, follow: bool
    ) -> Course:
        """A stream begins: return what is to happen to it. `close_course` when it ended."""
        course = Course(wake, follow=follow)
        self._courses[course] = (route, container)
        for rule in self._rules:
            if rule.concerns(route, container):
                rule.befall(course)
        return course

    def close_course(self, course: Course) -> None:
        """This stream has ended."""
        self._courses.pop(course, None)

    def _add(
        self, effect: Effect, route: Route | None, container: Container | None, count: int | None
    ) -> None:
        rule = _Rule(effect, route, container, count)
        self._rules.append(rule)
        for course, of in self._courses.items():
            if rule.concerns(*of) and rule.befall(course):
                course.wake()


class SteppableClock:
    """A clock for `SimulatedEngine` that a test can set; it goes on by itself unless given `at` (ns)."""

    def __init__(self, at: int | None = None) -> None:
        self._offset = 0
        self._at = at

    def __call__(self) -> int:
        """Return the time."""
        return (time.time_ns() if self._at is None else self._at) + self._offset

    def step(self, seconds: float) -> None:
        """Jump by so much: back, if negative."""
        self._offset += round(seconds * 1_000_000_000)
