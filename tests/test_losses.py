"""The book of losses: all is counted, and told with its range, but not too often."""

from __future__ import annotations

import pytest

from agent.losses import REPORT_EVERY_S, Cause, Losses
from agent.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def lost(metrics: Metrics, cause: Cause) -> float:
    return float(metrics.lost_records.labels(cause.value, "web", "")._value.get())


def test_a_loss_is_told_at_once_and_what_follows_together(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """With container, range and number."""
    losses = Losses(metrics)
    for number in range(3):
        losses.record(
            Cause.SPOOL_FULL,
            container="web",
            now=float(number),
            first_ns=number,
            last_ns=number + 5,
            records=10,
        )
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "lost 10 records of container web between 1970-01-01T00:00:00.000000000Z"
    )
    losses.record(Cause.SPOOL_FULL, container="web", now=REPORT_EVERY_S, first_ns=0, last_ns=9, records=1)
    assert caplog.messages[1].startswith(
        "lost 21 records of container web between 1970-01-01T00:00:00.000000000Z"
    )
    assert "00.000000009Z: spool_full" in caplog.messages[1]
    assert lost(metrics, Cause.SPOOL_FULL) == 31


def test_a_loss_of_unknown_size_is_told_as_such(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """It counts as one; a time that began at 0 does too."""
    Losses(metrics).record(Cause.ROTATED, container="web", now=0.0, first_ns=0, last_ns=1)
    assert caplog.messages[0].startswith("lost an unknown number of (at least 0) records of container web")
    assert lost(metrics, Cause.ROTATED) == 1


def test_an_estimate_is_told_and_counted_as_one(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """With what is known besides, to three digits."""
    losses = Losses(metrics)
    estimates = ((123_456, True), (123_456, True), (50, False), (None, False))
    for now, (records, estimated) in enumerate(estimates):
        losses.record(
            Cause.ROTATED,
            container="web",
            now=float(now),
            first_ns=0,
            last_ns=1,
            records=records,
            estimated=estimated,
        )
    losses.flush(9.0)
    assert caplog.messages[0].startswith("lost about 123,000 records of container web between")
    assert caplog.messages[1].startswith("lost an unknown number of (at least about 124,000) records")
    assert lost(metrics, Cause.ROTATED) == 2 * 123_456 + 50 + 1


def test_the_end_leaves_nothing_untold(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """And tells nothing twice."""
    losses = Losses(metrics)
    for first in (5, 3):
        losses.record(
            Cause.REFUSED, container="web", now=0.0, first_ns=first, last_ns=9, records=1, sink="loki"
        )
    losses.flush(1.0)
    losses.flush(2.0)
    assert len(caplog.messages) == 2
    assert "for sink loki between 1970-01-01T00:00:00.000000003Z" in caplog.messages[1]
