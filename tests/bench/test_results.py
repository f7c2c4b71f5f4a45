"""What the benchmark makes of what it measured."""

from __future__ import annotations

import dataclasses

import pytest

from tests.bench.results import Rest, Results, Run

RUN = Run(
    engine="Engine 28.5",
    way="live",
    sinks=("tcp", "file"),
    lines=1000,
    seconds=0.5,
    cpu_seconds=0.004,
    peak_bytes=64 << 20,
    delivered={"tcp": 1000, "file": 1000},
    distinct={"tcp": 1000, "file": 1000},
)
REST = Rest("Engine 28.5", 50, 0.75, 0.25, 54 << 20, 0.2)


def results(*runs: Run) -> Results:
    return Results(157, 0.5, {("Engine 28.5", "live"): 4000.0}, runs, [REST])


def test_cost_is_per_line_through_all_sinks() -> None:
    """And speed until the last sink has the last line."""
    assert RUN.cpu_us == pytest.approx(4)
    assert RUN.rate == 2000


def test_no_time_is_no_speed() -> None:
    """Nothing was delivered, or one request brought all."""
    assert dataclasses.replace(RUN, seconds=0.0).rate == 0


def test_the_worst_sink_decides_what_was_delivered() -> None:
    """What one got three times does not make up for it."""
    run = dataclasses.replace(RUN, delivered={"tcp": 900, "file": 1200}, distinct={"tcp": 900, "file": 1000})
    assert (run.share, run.repeated) == (0.9, 200)


@pytest.mark.parametrize(("delivered", "distinct"), [(999, 999), (1001, 1000)])
def test_a_line_lost_or_repeated_is_told(delivered: int, distinct: int) -> None:
    """The command's exit status rests on it."""
    run = dataclasses.replace(RUN, delivered={"tcp": delivered}, distinct={"tcp": distinct})
    assert results(RUN).lossless
    assert not results(RUN, run).lossless


def test_ratios_are_to_the_same_engine_and_way() -> None:
    """A live flow is not held against a history."""
    history = dataclasses.replace(RUN, way="history")
    shown = results(RUN, history).to_json()["runs"]
    assert [run["of_curl"] for run in shown] == [0.5, None]
    assert shown[0]["demultiplexings_per_line"] == pytest.approx(8)


def test_the_table_shows_every_run_and_says_whose_the_peers_figures_are() -> None:
    """Nobody is to compare microseconds of two machines."""
    table = "\n".join(results(RUN).table())
    for text in ("4.00 µs", "8.0", "2,000", "0.50", "64 MiB", "100.00%", "54.0 MiB", "0.75 s"):
        assert text in table
    assert "ON ANOTHER MACHINE" in table
