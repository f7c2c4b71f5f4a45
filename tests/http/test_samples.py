"""Counters become rates and a history; no clock, no server."""

from __future__ import annotations

from typing import Any

from agent.http.samples import KEPT_TICKS, Amount, Samples
from agent.metrics import Metrics


def test_rates_are_those_of_about_two_seconds() -> None:
    """Of both streams and all containers together; what stood still is 0, the first look knows none."""
    metrics = Metrics()
    samples = Samples(metrics)
    metrics.read_records.labels("web", "stdout").inc(1000)
    assert not samples.rates(10.0).known
    assert samples.rates(10.1).read("web") == Amount()
    metrics.read_records.labels("web", "stdout").inc(30)
    metrics.read_records.labels("web", "stderr").inc(10)
    metrics.read_bytes.labels("web", "stdout").inc(400)
    metrics.delivered_records.labels("loki", "web").inc(6)
    metrics.delivered_records.labels("loki", "api").inc(2)
    assert samples.rates(11.0).read("web") == Amount(40.0, 400.0)
    rates = samples.rates(12.0)
    assert (rates.read("web"), rates.read("gone")) == (Amount(20.0, 200.0), Amount(0.0, 0.0))
    assert rates.delivered("loki") == Amount(4.0, 0.0)
    assert rates.last.delivered["loki"].records == 8
    samples.rates(13.0)
    assert samples.rates(14.0).read("web") == Amount(0.0, 0.0)


def test_who_looks_often_or_together_costs_no_more() -> None:
    """What was counted just now is told again; and what is kept for it is little."""
    metrics = Metrics()
    samples = Samples(metrics)
    first = samples.rates(10.0)
    metrics.read_records.labels("web", "stdout").inc(5)
    assert samples.rates(10.2).last is first.last
    several = [samples.rates(20.0 + number / 10) for number in range(1000)]
    assert 2 <= several[-1].last.at - several[-1].first.at < 4
    assert len(samples._counts) < 10


def test_a_look_after_a_long_time_knows_no_rate() -> None:
    """Rather than a mean over the night."""
    metrics = Metrics()
    samples = Samples(metrics)
    samples.rates(10.0)
    metrics.read_records.labels("web", "stdout").inc(1000)
    assert not samples.rates(1000.0).known
    assert samples.rates(1001.0).read("web") == Amount(0.0, 0.0)


def _columns(history: dict[str, Any]) -> list[list[float]]:
    return [history["records_per_second"], *history["sinks"]["loki"].values()]


def test_the_history_is_what_came_after_a_tick() -> None:
    """At most five minutes of it, columns of one length; of a tick that is yet to come, nothing."""
    metrics = Metrics()
    samples = Samples(metrics)
    assert samples.history(0) == {"first_tick": 1, "records_per_second": [], "sinks": {}}
    for tick in range(KEPT_TICKS + 20):
        metrics.spooled_records.inc(7)
        metrics.delivered_bytes.labels("loki").inc(50)
        metrics.lag_records.labels("loki").set(tick)
        metrics.lag_seconds.labels("loki").set(tick / 2)
        samples.take(float(tick))
    whole = samples.history(0)
    assert whole["first_tick"] == 21
    assert {len(column) for column in _columns(whole)} == {KEPT_TICKS}
    later = samples.history(samples.tick - 2)
    assert _columns(later) == [[7, 7], [50, 50], [318, 319], [159, 159.5]]
    assert samples.history(samples.tick + 5)["records_per_second"] == []


def test_a_sink_that_came_later_waits_for_nothing_before() -> None:
    """Its columns are as long as the others'; a clock that stands divides nothing by 0."""
    metrics = Metrics()
    samples = Samples(metrics)
    samples.take(1.0)
    metrics.lag_records.labels("loki").set(5)
    samples.take(1.0)
    assert _columns(samples.history(0)) == [[0, 0], [0, 0], [0, 5], [0, 0]]
