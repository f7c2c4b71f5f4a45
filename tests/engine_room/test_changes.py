"""What is told of containers: each change once, whatever is seen, missed or seen twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engine.changes import (
    Appeared,
    Change,
    Died,
    EngineBack,
    EngineLost,
    Gone,
    Register,
    Renamed,
    Started,
)
from agent.engine.containers import ContainerFacts, Event, Summary

A = "a" * 64
RUNNING = ContainerFacts(A, "web", started_ns=100, running=True, status="running")
ENDED = replace(RUNNING, running=False, finished_ns=200, exit_code=3, status="exited")


def everything(_facts: ContainerFacts) -> bool:
    return True


@pytest.fixture
def register() -> Register:
    return Register(everything)


def event(action: str, at: int, **attributes: str) -> Event:
    return Event(action, A, at, {"name": "web", "image": "i", **attributes})


def test_a_container_appears_once(register: Register) -> None:
    assert register.seen(RUNNING) == [Appeared(RUNNING)]
    assert register.seen(RUNNING) == []


def test_one_that_has_ended_already_appears_and_does_not_die(register: Register) -> None:
    assert register.seen(ENDED) == [Appeared(ENDED)]
    assert register.died(event("die", 200)) == []


def test_a_death_is_told_by_its_event_and_not_again_by_a_look(register: Register) -> None:
    register.seen(RUNNING)
    assert register.died(event("die", 200, exitCode="3")) == [Died(A, 3)]
    assert register.died(event("die", 200, exitCode="3")) == []
    assert register.seen(ENDED) == []


def test_a_death_is_told_by_a_look_and_not_again_by_its_event(register: Register) -> None:
    register.seen(RUNNING)
    assert register.seen(ENDED) == [Died(A, 3)]
    assert register.died(event("die", 200, exitCode="3")) == []


@pytest.mark.parametrize(
    ("labels", "code"), [({"exitCode": "0"}, "0"), ({"exitCode": "abc"}, "abc"), ({}, "9" * 5000), ({}, "")]
)
def test_an_exit_code_that_a_label_may_have_forged_is_looked_up(
    register: Register, labels: dict[str, str], code: str
) -> None:
    """Labels take the place of an event's own attributes: another look tells."""
    register.seen(replace(RUNNING, labels=labels))
    assert register.died(event("die", 200, exitCode=code)) is None
    assert register.seen(replace(ENDED, labels=labels)) == [Died(A, 3)]


def test_podman_tells_the_exit_code_by_another_name(register: Register) -> None:
    register.seen(RUNNING)
    assert register.died(event("die", 200, containerExitCode="4")) == [Died(A, 4)]


def test_the_death_of_an_earlier_run_does_not_end_this_one(register: Register) -> None:
    """The look for the start came late and saw the next run already."""
    register.seen(replace(RUNNING, started_ns=300))
    assert register.died(event("die", 200)) is None


def test_a_new_run_is_started(register: Register) -> None:
    register.seen(ENDED)
    again = replace(RUNNING, started_ns=300)
    assert register.seen(again) == [Started(again)]


def test_a_restart_that_nobody_saw_ends_the_run_before(register: Register) -> None:
    register.seen(RUNNING)
    again = replace(RUNNING, started_ns=300)
    assert register.seen(again) == [Died(A, None), Started(again)]


def test_a_run_that_nobody_saw_is_started_all_the_same(register: Register) -> None:
    """It has output that is still to be read."""
    register.seen(ENDED)
    again = replace(ENDED, started_ns=300, finished_ns=400)
    assert register.seen(again) == [Started(again)]


def test_a_renamed_container_stays_the_same(register: Register) -> None:
    register.seen(RUNNING)
    renamed = replace(RUNNING, name="shop")
    assert register.seen(renamed) == [Renamed(renamed)]


def test_a_container_that_vanished_at_once_is_told_of_by_its_events(register: Register) -> None:
    """`--rm`: created, started, ended and removed before any of it could be looked at."""
    (appeared,) = register.glimpsed(event("create", 10, label="x"))
    assert isinstance(appeared, Appeared)
    assert (appeared.facts.name, appeared.facts.labels, appeared.facts.partial) == (
        "web",
        {"label": "x"},
        True,
    )
    (started,) = register.glimpsed(event("start", 20))
    assert isinstance(started, Started)
    assert started.facts.running
    assert register.died(event("die", 30, exitCode="1")) == [Died(A, 1)]
    assert register.gone(A) == [Gone(A)]


@pytest.mark.parametrize("known", [RUNNING, ENDED])
def test_a_start_that_was_seen_already_is_not_told_again(register: Register, known: ContainerFacts) -> None:
    """The event comes a little after the start; by then the container was looked at, and is gone now."""
    register.seen(known)
    assert register.glimpsed(event("start", 101)) == []


def test_what_is_not_wanted_is_not_told() -> None:
    register = Register(lambda facts: facts.name == "shop")
    assert register.seen(RUNNING) == []
    assert register.died(event("die", 200)) == []
    assert register.glimpsed(event("create", 10)) == []
    assert register.gone(A) == []


def test_a_name_may_make_a_container_wanted_and_unwanted() -> None:
    register = Register(lambda facts: facts.name == "shop")
    renamed = replace(RUNNING, name="shop")
    assert register.seen(RUNNING) == []
    assert register.seen(renamed) == [Appeared(renamed)]
    assert register.seen(RUNNING) == [Gone(A)]


def test_what_is_not_wanted_is_not_looked_at_again_until_it_has_another_name() -> None:
    register = Register(lambda facts: facts.name == "shop")
    summary = Summary(A, "web", running=True, network=None)
    assert register.to_look_at([summary]) == [A]
    register.seen(RUNNING)
    assert register.to_look_at([summary]) == []
    assert register.to_look_at([replace(summary, name="shop")]) == [A]


def test_what_is_known_and_no_longer_listed_is_looked_at(register: Register) -> None:
    """It is gone, or was created after the list was made: only a look can tell."""
    register.seen(RUNNING)
    assert register.to_look_at([]) == [A]


@dataclass
class World:
    """One container as it is, and an observer who sees some of what happens to it."""

    register: Register
    clock: int = 1000
    facts: ContainerFacts | None = None
    told: ContainerFacts | None = None
    past: list[Event] = field(default_factory=list)

    def do(self, action: str) -> None:
        """Let something happen, if it can; it is an event, which may be noticed some time later."""
        self.clock += 10
        facts, now = self.facts, self.clock
        if action == "create" and facts is None:
            self.facts = ContainerFacts(A, "web", created_ns=now)
        elif action == "start" and facts is not None and not facts.running:
            self.facts = replace(facts, started_ns=now - 1, running=True)
        elif action == "die" and facts is not None and facts.running:
            self.facts = replace(facts, running=False, finished_ns=now - 1)
        elif action == "rename" and facts is not None:
            self.facts = replace(facts, name=f"web-{now}")
        elif action == "destroy" and facts is not None and not facts.running:
            self.facts = None
        else:
            return
        self.past.append(event(action, now))

    def look(self, cause: Event | None = None) -> None:
        if self.facts is not None:
            self.hear(self.register.seen(self.facts))
        elif cause is not None and cause.action in {"create", "start"}:
            self.hear(self.register.glimpsed(cause))
        else:
            self.hear(self.register.gone(A))

    def notice(self, seen: Event) -> None:
        if seen.action == "destroy":
            return self.hear(self.register.gone(A))
        changes = self.register.died(seen) if seen.action == "die" else None
        return self.look(seen) if changes is None else self.hear(changes)

    def hear(self, changes: list[Change]) -> None:
        """Check that what is told fits what was told before."""
        for change in changes:
            match change:
                case Appeared(facts):
                    assert self.told is None
                    self.told = facts
                case Started(facts):
                    assert self.told is not None
                    assert not self.told.running
                    self.told = facts
                case Renamed(facts):
                    assert self.told is not None
                    assert facts.name != self.told.name
                    self.told = replace(self.told, name=facts.name)
                case Died(_):
                    assert self.told is not None
                    assert self.told.running
                    self.told = replace(self.told, running=False)
                case Gone(_):
                    assert self.told is not None
                    self.told = None
                case EngineLost() | EngineBack():
                    raise AssertionError(change)
                case never:
                    assert_never(never)


STEPS = st.sampled_from(["create", "start", "die", "rename", "destroy", "look", "notice", "lose"])


@given(st.lists(STEPS, max_size=60))
def test_however_much_is_missed_what_is_told_makes_sense_and_ends_true(steps: list[str]) -> None:
    """Events are noticed late, or never; looks come at any time; a last look puts everything right."""
    world = World(Register(everything))
    for step in steps:
        if step == "look":
            world.look()
        elif step == "notice" and world.past:
            world.notice(world.past.pop(0))
        elif step == "lose" and world.past:
            world.past.pop(0)
        else:
            world.do(step)
    world.look()
    if world.facts is None:
        assert world.told is None
    else:
        assert world.told is not None
        assert (world.told.running, world.told.name) == (world.facts.running, world.facts.name)
