"""Promises of agent/sinks/health.py."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import Gauge

from agent.sinks.health import Health, State
from tests.sinks.scripted import Clock

ONE, OTHER = object(), object()


class Observed:
    def __init__(self) -> None:
        self.clock = Clock()
        self.up = Gauge("up", "", registry=None)
        self.health = Health("loki", self.up, self.clock.now)
        self.health.opened()

    def state(self) -> State:
        return self.health.snapshot.state


def test_the_worst_request_is_the_state() -> None:
    """held before retrying before delivering; idle when none is under way."""
    sink = Observed()
    assert sink.state() is State.IDLE
    sink.health.begin(ONE)
    sink.health.begin(OTHER)
    assert sink.state() is State.DELIVERING
    sink.health.failed(ONE, "down")
    assert sink.state() is State.RETRYING
    sink.health.held(OTHER, "401")
    assert sink.state() is State.HELD
    sink.health.answered(OTHER)
    assert sink.state() is State.RETRYING
    sink.health.end(ONE)
    sink.health.end(OTHER)
    assert sink.state() is State.IDLE


def test_a_state_says_since_when() -> None:
    """A second failure does not begin it anew."""
    sink = Observed()
    sink.health.begin(ONE)
    sink.clock.time = 2_000
    sink.health.failed(ONE, "down")
    sink.clock.time = 3_000
    sink.health.failed(ONE, "still down")
    assert (sink.health.snapshot.since, sink.health.snapshot.last_error) == (2_000, "still down")


def test_started_again_nothing_is_under_way() -> None:
    """What was under way when the runner fell is not remembered as such."""
    sink = Observed()
    sink.health.begin(ONE)
    sink.health.failed(ONE, "down")
    sink.health.starting()
    assert sink.state() is State.STARTING
    sink.health.opened()
    assert sink.state() is State.IDLE


def test_a_sink_is_well_when_its_last_answer_was_good() -> None:
    """The metric follows each answer; a request that was given up leaves it at 0."""
    sink = Observed()
    sink.health.answered(ONE)
    assert value(sink.up) == 1
    sink.health.failed(ONE, "down")
    sink.health.end(ONE)
    assert value(sink.up) == 0


def test_a_sink_that_flaps_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Two lines per ten seconds at the most, however often it goes bad and well."""
    sink = Observed()
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            sink.health.failed(ONE, "busy")
            sink.clock.time += 0.25
            sink.health.answered(ONE)
            sink.clock.time += 0.25
    assert len(caplog.messages) == 2 * 50 / 10


def test_an_outage_soon_after_another_is_told_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """When it lasts."""
    sink = Observed()
    with caplog.at_level(logging.INFO):
        sink.health.failed(ONE, "busy")
        sink.health.answered(ONE)
        for _ in range(30):
            sink.clock.time += 1
            sink.health.failed(ONE, "down")
    assert caplog.messages[0] == "sink loki fails and is tried again: busy"
    assert caplog.messages[2:] == ["sink loki fails and is tried again: down"]


def test_that_a_person_is_needed_is_told_though_it_failed_before(caplog: pytest.LogCaptureFixture) -> None:
    """A receiver that was down and comes back without its token: retrying became waiting."""
    sink = Observed()
    sink.health.failed(ONE, "down")
    sink.health.held(ONE, "401")
    sink.health.held(ONE, "401")
    assert caplog.messages == [
        "sink loki fails and is tried again: down",
        "sink loki waits until this is mended (its records wait with it): 401",
    ]


def value(gauge: Gauge) -> float:
    return next(iter(gauge.collect())).samples[0].value
