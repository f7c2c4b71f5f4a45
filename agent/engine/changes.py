"""What discovery tells, and when: looks at containers in, changes out. Sans-I/O.

Events and lists only say where to look. What is announced follows from the difference between what was known
and what is seen now, so that nothing is announced twice however often the Engine repeats itself, and nothing
is missed for good because an event was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from agent.engine.containers import ContainerFacts, Event, Summary, facts_of_event
from agent.engine.version import EngineVersion

#: Docker's name for it, and Podman's. A label of that name takes its place among an event's attributes.
_EXIT_CODES: Final = frozenset({"exitCode", "containerExitCode"})
_EXIT_CODE: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Appeared:
    """A container is known from now on. `facts.running` says whether it runs; if not, no Died follows."""

    facts: ContainerFacts


@dataclass(frozen=True, slots=True)
class Started:
    """A known container began a new run. `facts.running` False: it has ended already, and no Died follows."""

    facts: ContainerFacts


@dataclass(frozen=True, slots=True)
class Renamed:
    """A container has another name; nothing else of it can change."""

    facts: ContainerFacts


@dataclass(frozen=True, slots=True)
class Died:
    """A run ended; all it wrote is in its log. `exit_code` None: it was missed, the next run has begun."""

    id: str
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Gone:
    """A container was removed, or renamed into one that is not wanted."""

    id: str


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The Engine is out of reach; told once until EngineBack."""

    why: str


@dataclass(frozen=True, slots=True)
class EngineBack:
    """The Engine can be reached: for the first time, again, or as another version."""

    version: EngineVersion


Change = Appeared | Started | Renamed | Died | Gone | EngineLost | EngineBack


class Register:
    """The containers known. `wanted` decides which are announced; it may depend on the name."""

    def __init__(self, wanted: Callable[[ContainerFacts], bool]) -> None:
        self._wanted = wanted
        self._known: dict[str, ContainerFacts] = {}
        self._unwanted: dict[str, str] = {}  # id → name: as long as that stays there is nothing to look at

    def to_look_at(self, listed: Iterable[Summary]) -> list[str]:
        """The ids to inspect, given all containers there are: also those known and no longer listed."""
        names = {summary.id: summary.name for summary in listed}
        self._unwanted = {known: name for known, name in self._unwanted.items() if known in names}
        looks = [listed_id for listed_id, name in names.items() if self._unwanted.get(listed_id) != name]
        return looks + [known for known in self._known if known not in names]

    def seen(self, facts: ContainerFacts) -> list[Change]:
        """A container was inspected."""
        before = self._known.get(facts.id)
        if not self._wanted(facts):
            self._unwanted[facts.id] = facts.name
            return [] if before is None else self._forget(facts.id)
        self._unwanted.pop(facts.id, None)
        self._known[facts.id] = facts
        return [Appeared(facts)] if before is None else _differences(before, facts)

    def glimpsed(self, event: Event) -> list[Change]:
        """A container was created or started, and gone before it could be inspected."""
        facts, known = facts_of_event(event), self._known.get(event.id)
        if known is None:
            return self.seen(facts)
        if event.action != "start" or known.running or known.finished_ns > event.time_ns:
            return []
        return self.seen(replace(known, started_ns=event.time_ns, running=True, status="running"))

    def died(self, event: Event) -> list[Change] | None:
        """A run ended. None: whether it is the run we know, and how it ended, can only be told by another look."""
        known = self._known.get(event.id)
        if event.id in self._unwanted:
            return []
        if known is None or event.time_ns < known.started_ns:
            return None
        if not known.running:
            return []
        code = next((event.attributes[name] for name in _EXIT_CODES if name in event.attributes), "0")
        if not _EXIT_CODES.isdisjoint(known.labels) or not _EXIT_CODE.fullmatch(code):
            return None
        ended = replace(known, running=False, status="exited", finished_ns=event.time_ns, exit_code=int(code))
        return self.seen(ended)

    def gone(self, id: str) -> list[Change]:
        """There is no such container any more."""
        self._unwanted.pop(id, None)
        return self._forget(id)

    def _forget(self, id: str) -> list[Change]:
        return [] if self._known.pop(id, None) is None else [Gone(id)]


def _differences(before: ContainerFacts, now: ContainerFacts) -> list[Change]:
    changes: list[Change] = []
    if now.name != before.name:
        changes.append(Renamed(now))
    if now.started_ns != before.started_ns or (now.running and not before.running):
        if before.running:
            changes.append(Died(now.id, None))
        changes.append(Started(now))
    elif before.running and not now.running:
        changes.append(Died(now.id, now.exit_code))
    return changes
