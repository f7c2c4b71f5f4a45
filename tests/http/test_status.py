"""Readiness: a judgement over a status, no server in sight."""

from __future__ import annotations

import pytest

from agent.http.status import reasons, sink_facts
from tests.http.fakes import FakeSink, FakeStatus


@pytest.mark.parametrize("state", ["idle", "delivering"])
def test_an_agent_that_ships_or_has_nothing_to_ship_is_ready(state: str) -> None:
    """However long it is idle: silence of the containers is no fault."""
    assert list(reasons(FakeStatus(sinks={"a": FakeSink(state)}), now=1e6)) == []


@pytest.mark.parametrize("state", ["starting", "retrying", "held"])
def test_a_sink_in_trouble_for_more_than_a_minute_is_a_reason(state: str) -> None:
    """A throttled or restarted receiver is not."""
    status = FakeStatus(sinks={"a": FakeSink(state, since=10.0, last_error="503"), "b": FakeSink()})
    assert list(reasons(status, now=70.0)) == []
    assert list(reasons(status, now=80.0)) == [f"sink a is {state} for 70 s: 503"]


def test_an_engine_that_does_not_answer_is_a_reason() -> None:
    """Named, so that one knows where to look."""
    status = FakeStatus(engine_connected=False, engine="Docker Engine 28.5.2 at unix:///x")
    assert list(reasons(status, now=0.0)) == ["the Engine does not answer: Docker Engine 28.5.2 at unix:///x"]


def test_times_become_ages() -> None:
    """A monotonic time means nothing outside the process."""
    facts = sink_facts(FakeSink(since=5.0, last_success=9.0), now=10.0)
    assert (facts["for_seconds"], facts["last_success_seconds_ago"]) == (5.0, 1.0)
    assert sink_facts(FakeSink(), now=10.0)["last_success_seconds_ago"] is None
