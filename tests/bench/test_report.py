"""What the benchmark makes of what it measured."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from tests.bench.__main__ import BEGIN, END, PAGE, placed
from tests.bench.cases import BARE, DOCKFERRY, SINKS, Case, Rest, Run, Runs
from tests.bench.latency import Latency
from tests.bench.plan import FULL, QUICK, WAYS
from tests.bench.processes import Memory
from tests.bench.report import Results, markdown, pictures, table

MEMORY = Memory(64 << 20, 50 << 20, 40 << 20)
CASE = Case(DOCKFERRY, "logs", SINKS[3])
RUN = Run(CASE, 1000, 0.5, 0.004, MEMORY, delivered=3000, distinct=1000)
BARE_RUN = Run(CASE.limit(), 1000, 0.25, 0.001, MEMORY, delivered=1000, distinct=1000)
PACED = dataclasses.replace(
    RUN,
    case=Case(DOCKFERRY, "attach", pace=10_000, batch_age="10ms"),
    delivered=1000,
    latency=Latency(1, 2, 3, 4),
)
REST = Rest("Engine 28.5", 50, 0.75, 0.25, MEMORY, 0.2, 30)


def results(*runs: Run) -> Results:
    return Results("a machine", 0.5, runs, [REST])


def test_cost_is_per_line_through_all_sinks() -> None:
    """And speed until the last sink has the last line."""
    assert RUN.cpu_us == pytest.approx(4)
    assert RUN.rate == 2000
    assert dataclasses.replace(RUN, seconds=0.0).rate == 0


@pytest.mark.parametrize(("delivered", "distinct"), [(2999, 999), (3001, 1000)])
def test_a_line_lost_or_repeated_is_told(delivered: int, distinct: int) -> None:
    """The command's exit status rests on it; a peer's losses are its own."""
    run = dataclasses.replace(RUN, delivered=delivered, distinct=distinct)
    assert results(RUN).whole
    assert not results(RUN, run).whole
    peer = dataclasses.replace(run, case=dataclasses.replace(run.case, reader="fluent-bit 5.1"))
    assert results(RUN, peer).whole


def test_the_bare_reader_of_the_same_work_is_the_limit() -> None:
    """Of the same containers, lines and way; a peer's is that of logs."""
    runs = Runs([RUN, BARE_RUN, dataclasses.replace(RUN, case=Case(DOCKFERRY, "attach"))])
    assert runs.of_limit(CASE, lambda run: run.cpu_us) == pytest.approx(4)
    assert runs.of_limit(CASE, lambda run: run.rate) == pytest.approx(0.5)
    assert runs.of_limit(Case(DOCKFERRY, "attach"), lambda run: run.rate) is None
    assert Case("vector 0.40", "", state="").limit() == CASE.limit()


def test_the_median_of_the_rounds_counts() -> None:
    """One slow round is none."""
    runs = Runs(dataclasses.replace(RUN, cpu_seconds=seconds) for seconds in (0.004, 0.1, 0.005))
    assert runs.median(CASE, lambda run: run.cpu_us) == pytest.approx(5)


def test_what_is_saved_is_shown_the_same() -> None:
    """`--saved` measures nothing."""
    made = results(RUN, BARE_RUN, PACED)
    again = Results.from_json(orjson.loads(orjson.dumps(made.to_json())))
    assert list(markdown(again)) == list(markdown(made))
    assert pictures(again) == pictures(made)


def test_the_report_shows_every_figure() -> None:
    report = "\n".join(markdown(results(RUN, BARE_RUN, PACED), images="images"))
    wanted = ("4.00 µs", "| 4.0 ", "0.50", "64 MiB", "40 MiB", "all", "3.0 ms", "0.75 s", "0.20 % of a core")
    for text in (*wanted, "batch_age 10ms", "a machine", "(images/latency.svg)", "(images/cost.svg)"):
        assert text in report


def test_what_arrived_in_part_is_no_all() -> None:
    lossy = dataclasses.replace(RUN, delivered=2700, distinct=900)
    assert "90.00%" in "\n".join(markdown(results(RUN, lossy)))


def test_a_table_is_readable_as_it_is() -> None:
    assert list(table(["", "CPU"], [["logs", "1"]])) == ["|      | CPU |", "| ---- | --- |", "| logs | 1   |"]


def test_a_report_takes_the_place_of_the_last_one() -> None:
    """And of nothing else; a page without marks is left alone."""
    page = placed(f"before\n\n{BEGIN}\n\nold\n\n{END}\nafter\n", "new\n")
    assert page == f"before\n\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert placed(page, "new") == page
    with pytest.raises(ValueError, match="lacks"):
        placed("before\n", "new")


def test_the_page_has_a_place_for_it() -> None:
    text = PAGE.read_text()
    assert text.index(BEGIN) < text.index(END)


@pytest.mark.parametrize("plan", [QUICK, FULL])
def test_each_case_comes_with_its_limit_and_once_a_round(plan: object) -> None:
    """Else a ratio would be missing."""
    assert plan in (QUICK, FULL)
    for scene in (QUICK if plan is QUICK else FULL).flows({"vector 0.40": (1, 3)}):
        assert len(scene.cases) == len(set(scene.cases))
        assert {case.limit() for case in scene.cases} <= set(scene.cases)
        assert {case.containers for case in scene.cases} == {scene.containers}


def test_the_plan_measures_what_was_promised() -> None:
    """Widths, numbers of containers and of sinks, both states of the spool."""
    cases = [case for scene in FULL.flows({}) for case in scene.cases if case.reader != BARE]
    assert {case.size for case in cases} == {80, 157, 1000, 16_000}
    assert {case.containers for case in cases} == {1, 20, 200}
    assert {case.state for case in cases} == {"disk", "memory"}
    for way in WAYS:
        assert {len(case.sinks) for case in cases if case.way == way} == {1, 3, 6}
    assert all(FULL.count(case) * case.size <= FULL.most_bytes for case in cases)
