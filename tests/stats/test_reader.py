"""The reader on a simulated Engine: who is asked, when, and what comes of bad answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest

from agent.batch import Batch
from agent.engine.client import EngineClient
from agent.engine.discovery import Discovery
from agent.engine.own import Traces
from agent.errors import EngineUnreachable
from agent.labels import LabelOptions
from agent.metrics import Metrics
from agent.pipeline.describe import describe
from agent.settings import Settings
from agent.simulator import Container, SimulatedEngine, resources
from agent.stats import StatsReader, reader

INTERVAL_S = 0.05
DEADLINE_S = 10.0


class Watch:
    """A reader at work, and what it handed on."""

    def __init__(self, engine: SimulatedEngine, client: EngineClient, **settings: str) -> None:
        self.metrics = Metrics()
        self.records: list[Batch] = []
        self._engine, self._client = engine, client
        self._settings = Settings.load({f"DOCKFERRY_{name.upper()}": text for name, text in settings.items()})

    @contextlib.asynccontextmanager
    async def running(
        self,
        *,
        interval_s: float = INTERVAL_S,
        hand_on: Callable[[Sequence[Batch], Mapping[str, bytes]], Any] | None = None,
    ) -> AsyncIterator[StatsReader]:
        """Discovery tells it of containers meanwhile."""
        stats = StatsReader(
            self._client,
            interval_s=interval_s,
            describe=lambda facts: describe(facts, LabelOptions(), self._settings, host="node", selects={}),
            metrics=self.metrics,
            hand_on=hand_on or self._keep,
        )
        discovery = Discovery(
            self._client, settings=self._settings, own=Traces(), metrics=self.metrics, relist_every=0.2
        )
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(discovery.run(stats.apply)), tasks.create_task(stats.run())]
            yield stats
            for task in both:
                task.cancel()

    async def _keep(self, batches: Sequence[Batch], cursors: Mapping[str, bytes]) -> None:
        assert not cursors
        self.records += batches

    def asked(self, container: Container) -> int:
        """How often the Engine was asked what this one uses."""
        return sum(request.path.endswith(f"/{container.id}/stats") for request in self._engine.requests)

    def outcomes(self, outcome: str) -> float:
        """Answers of that kind."""
        return (
            self.metrics.registry.get_sample_value("dockferry_stats_answers_total", {"outcome": outcome}) or 0
        )

    def series(self, name: str) -> dict[str, float]:
        """A metric's values by container."""
        return {
            each.labels["name"]: each.value
            for metric in self.metrics.registry.collect()
            for each in metric.samples
            if each.name == name
        }


async def until(true: Callable[[], bool]) -> None:
    """Return when it is so; TimeoutError when it takes longer than ten seconds."""
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def unreachable(container_id: str) -> bytes:
    raise EngineUnreachable(f"nobody tells of {container_id}")


@pytest.fixture
def watch(engine: SimulatedEngine, client: EngineClient) -> Watch:
    return Watch(engine, client)


def started(engine: SimulatedEngine, name: str, **options: Any) -> Container:  # noqa: ANN401 - the simulator's
    container = engine.create(name, **options)
    container.start()
    return container


async def test_each_container_is_asked_again_and_again(engine: SimulatedEngine, watch: Watch) -> None:
    """Its counters go up, on /metrics and in the records."""
    web, database = started(engine, "web"), started(engine, "db")
    async with watch.running():
        await until(lambda: min(watch.asked(web), watch.asked(database)) >= 4)
        used = watch.series("container_cpu_usage_seconds_total")
        assert used.keys() == {"web", "db"}
        await until(lambda: watch.series("container_cpu_usage_seconds_total")["web"] > used["web"])
    assert {batch.container.tag for batch in watch.records} == {"web.metrics", "db.metrics"}


async def test_only_what_is_read_is_asked_about(engine: SimulatedEngine, client: EngineClient) -> None:
    """Selectors; `dockferry.enable=false`; its labels as chosen."""
    watch = Watch(engine, client, exclude="name=noisy", labels="tier")
    web = started(engine, "web", labels={"tier": "front", "secret": "x"})
    others = [started(engine, "noisy"), started(engine, "shy", labels={"dockferry.enable": "false"})]
    async with watch.running():
        await until(lambda: watch.outcomes("sample") >= 3)
        labels = next(
            each.labels
            for metric in watch.metrics.registry.collect()
            for each in metric.samples
            if each.name == "container_threads"
        )
    assert labels == {
        "id": f"/docker/{web.id}",
        "name": "web",
        "image": "shop/web:1.0",
        "container_label_tier": "front",
    }
    assert [watch.asked(other) for other in others] == [0, 0]


async def test_one_that_does_not_run_is_not_asked(engine: SimulatedEngine, watch: Watch) -> None:
    """It shows how it ended; started again, it is asked again."""
    brief = started(engine, "brief")
    async with watch.running():
        await until(lambda: watch.asked(brief) >= 2)
        brief.finish(7)
        await until(lambda: watch.series("dockferry_container_exit_code") == {"brief": 7})
        await until(lambda: not watch.series("container_threads"))
        asked, late = watch.asked(brief), started(engine, "late")
        await until(lambda: watch.asked(late) >= 3)
        assert watch.asked(brief) <= asked + 1
        brief.start()
        await until(lambda: watch.asked(brief) >= asked + 3)
        await until(lambda: watch.series("container_threads").keys() == {"brief", "late"})


async def test_a_paused_one_is_asked_like_any_other(engine: SimulatedEngine, watch: Watch) -> None:
    """The Engine answers for it; its state is told."""
    web = started(engine, "web")
    async with watch.running():
        await until(lambda: watch.asked(web) >= 1)
        web.pause()

        def paused() -> bool:
            return any(
                each.labels["state"] == "paused"
                for metric in watch.metrics.registry.collect()
                for each in metric.samples
                if each.name == "dockferry_container_state"
            )

        await until(paused)
        asked = watch.asked(web)
        await until(lambda: watch.asked(web) >= asked + 2)
        assert "web" in watch.series("container_threads")


async def test_nothing_is_kept_of_a_removed_one(engine: SimulatedEngine, watch: Watch) -> None:
    """Not a series."""
    web, other = started(engine, "web"), started(engine, "other")
    async with watch.running():
        await until(lambda: min(watch.asked(web), watch.asked(other)) >= 2)
        web.remove()
        await until(lambda: watch.series("dockferry_container_state").keys() == {"other"})
        assert watch.series("container_threads").keys() <= {"other"}


async def test_a_renamed_one_goes_on_under_its_new_name(engine: SimulatedEngine, watch: Watch) -> None:
    """Without another look at it from the beginning."""
    web = started(engine, "web")
    async with watch.running():
        await until(lambda: watch.series("container_threads").keys() == {"web"})
        web.rename("shop")
        await until(lambda: watch.series("container_threads").keys() == {"shop"})


async def test_restarts_are_counted(engine: SimulatedEngine, watch: Watch) -> None:
    """By the Engine: those that its restart policy made."""
    web = started(engine, "web", restart_policy="always")
    async with watch.running():
        await until(lambda: watch.series("dockferry_container_restarts_total") == {"web": 0})
        for _ in range(3):
            web.finish(1)
            web.start()
        await until(lambda: watch.series("dockferry_container_restarts_total") == {"web": 3})
        await until(lambda: watch.series("dockferry_container_exit_code") == {"web": 1})


async def test_a_bad_answer_stops_no_neighbour(
    engine: SimulatedEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted, told once; shown is what was known before, until it is too old."""
    good, bad = started(engine, "good"), started(engine, "bad")
    real = resources.stats

    def stats(container: Container, now: int, *, before: int | None) -> Any:  # noqa: ANN401 - whatever JSON
        return ["rubbish"] if container is bad else real(container, now, before=before)

    monkeypatch.setattr(resources, "stats", stats)
    async with watch.running():
        await until(lambda: watch.outcomes("unreadable") >= 3 and watch.asked(good) >= 3)
        assert watch.series("container_threads").keys() == {"good"}
    told = [each for each in caplog.messages if "what container bad uses is not known" in each]
    assert len(told) == 1


async def test_a_refusal_stops_no_neighbour(
    engine: SimulatedEngine, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy that forbids it is told of once; one that is gone is none of our worries."""
    good, bad, gone = (started(engine, name) for name in ("good", "bad", "gone"))
    engine.faults.refuse(403, "forbidden by the proxy", route="stats", container=bad, count=None)
    engine.faults.refuse(404, "No such container", route="stats", container=gone, count=None)
    async with watch.running():
        await until(lambda: min(watch.asked(each) for each in (good, bad, gone)) >= 3)
        assert watch.series("container_threads").keys() == {"good"}
    told = [each for each in caplog.messages if "is not known" in each]
    assert len(told) == 1
    assert "forbidden by the proxy" in told[0]


async def test_an_answer_that_does_not_come_stops_no_neighbour(
    engine: SimulatedEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up; meanwhile that container's turns are let go by, and counted."""
    monkeypatch.setattr(reader, "PATIENCE_S", 0.3)
    good, bad = started(engine, "good"), started(engine, "bad")
    engine.faults.delay(60, route="stats", container=bad, count=None)
    async with watch.running():
        await until(lambda: watch.outcomes("timeout") >= 2)
        assert watch.asked(good) > 2 * watch.asked(bad)
        assert watch.outcomes("late") > 0


async def test_so_many_answers_are_waited_for_at_once(
    engine: SimulatedEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many containers there are."""
    monkeypatch.setattr(reader, "AT_ONCE", 4)
    for number in range(40):
        started(engine, f"web-{number}")
    engine.faults.delay(0.05, route="stats", count=None)
    busy: Counter[int] = Counter()
    under_way = 0
    client = watch._client
    ask = client.stats

    async def stats(container_id: str) -> bytes:
        nonlocal under_way
        under_way += 1
        busy[under_way] += 1
        try:
            return await ask(container_id)
        finally:
            under_way -= 1

    monkeypatch.setattr(client, "stats", stats)
    async with watch.running():
        await until(lambda: len(watch.series("container_threads")) == 40)
    assert max(busy) == 4


async def test_an_engine_that_is_down_is_left_alone(engine: SimulatedEngine, watch: Watch) -> None:
    """And asked again when it is back."""
    web = started(engine, "web")
    async with watch.running() as stats:
        await until(lambda: watch.asked(web) >= 2)
        await engine.go_down()
        await until(lambda: not stats._connected)
        before = {kind: watch.outcomes(kind) for kind in ("sample", "unreachable")}
        turns = stats._turns
        due = turns._due[web.id]
        await until(lambda: turns._due[web.id] > due + 5 * INTERVAL_S)
        assert before == {kind: watch.outcomes(kind) for kind in before}
        asked = watch.asked(web)
        await engine.come_back()
        await until(lambda: watch.asked(web) >= asked + 2)


async def test_after_failures_in_a_row_nobody_is_asked_for_an_interval(
    engine: SimulatedEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery may not have noticed yet: the connection is refused, and forty containers would all ask."""
    for number in range(40):
        started(engine, f"web-{number}")
    monkeypatch.setattr(reader, "AT_ONCE", 1)
    async with watch.running(interval_s=1.0) as stats:
        await until(lambda: watch.outcomes("sample") >= 1)
        monkeypatch.setattr(stats._client, "stats", unreachable)
        await until(lambda: stats._rest_until > stats._now())
        failures, rest_until = watch.outcomes("unreachable"), stats._rest_until
        assert failures == 3
        await until(lambda: stats._now() > rest_until - 0.1)
        assert watch.outcomes("unreachable") == failures


async def test_records_wait_with_the_spool_and_the_rest_goes_on(
    engine: SimulatedEngine, watch: Watch
) -> None:
    """A full spool that blocks holds that container's turns, not /metrics of the others."""
    web = started(engine, "web")
    held = asyncio.Event()

    async def hand_on(batches: Sequence[Batch], _: Mapping[str, bytes]) -> None:
        if batches[0].container.name == "web":
            await held.wait()

    async with watch.running(hand_on=hand_on):
        await until(lambda: watch.asked(web) == 1)
        other = started(engine, "other")
        await until(lambda: watch.asked(other) >= 4)
        assert watch.asked(web) == 1
        held.set()
        await until(lambda: watch.asked(web) >= 3)


async def test_older_engines_are_asked_in_their_own_way(engine: SimulatedEngine, watch: Watch) -> None:
    """Before API 1.41 there is no `one-shot`: two looks, a second apart."""
    await engine.go_down()
    await engine.come_back(api_version="1.40", engine_version="19.03.15")
    web = started(engine, "web")
    async with watch.running():
        await until(lambda: watch.outcomes("sample") >= 1)
    asked = next(each for each in engine.requests if each.path.endswith(f"{web.id}/stats"))
    assert dict(asked.query) == {"stream": "false"}


async def test_newer_ones_for_one_look(engine: SimulatedEngine, watch: Watch) -> None:
    """`one-shot`: nothing waits."""
    web = started(engine, "web")
    async with watch.running():
        await until(lambda: watch.outcomes("sample") >= 1)
    asked = next(each for each in engine.requests if each.path.endswith(f"{web.id}/stats"))
    assert dict(asked.query) == {"stream": "false", "one-shot": "true"}


async def test_limits_that_change_while_it_runs_are_noticed(
    engine: SimulatedEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker update` has no event that discovery hears."""
    monkeypatch.setattr(reader, "_TURNS_PER_LOOK", 3)
    web = started(engine, "web")
    async with watch.running():
        await until(lambda: watch.asked(web) >= 8)
    inspected = sum(request.path.endswith(f"/{web.id}/json") for request in engine.requests)
    assert inspected >= 3


async def test_records_tell_what_was_used(engine: SimulatedEngine, watch: Watch) -> None:
    """The simulated shares of a CPU are constant: the record says them."""
    web = started(engine, "web")
    async with watch.running(interval_s=0.2):
        await until(lambda: len(watch.records) >= 3)
    found = [orjson.loads(batch.messages[0])["docker"] for batch in watch.records]
    assert "total" not in found[0]["cpu"]
    expected = (1 + int(web.id[:8], 16) % 32) / 100
    assert found[2]["cpu"]["total"]["pct"] == pytest.approx(expected, rel=0.2)  # host time has ticks of 10 ms
    assert found[2]["memory"]["limit"] == resources.HOST_MEMORY_BYTES


def test_the_engines_time_is_taken_where_its_clock_is_right() -> None:
    """Then rates are exact however late the answer came; a clock that is wrong would have Prometheus refuse them."""
    assert reader.seen_s(1_795_451_300_250_000_000, 1_795_451_301.0) == 1_795_451_300.25
    assert reader.seen_s(1_795_451_300_250_000_000, 1_795_454_900.5) == 1_795_454_900.5
    assert reader.seen_s(1_795_451_300_250_000_000, 1_795_447_700.5) == 1_795_447_700.5


async def test_without_records_nothing_is_handed_on(engine: SimulatedEngine, client: EngineClient) -> None:
    """`hand_on` None."""
    metrics = Metrics()
    stats = StatsReader(
        client,
        interval_s=INTERVAL_S,
        describe=lambda facts: describe(facts, LabelOptions(), Settings.load({}), host="h", selects={}),
        metrics=metrics,
        hand_on=None,
    )
    web = started(engine, "web")
    discovery = Discovery(client, settings=Settings.load({}), own=Traces(), metrics=metrics)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(discovery.run(stats.apply)), tasks.create_task(stats.run())]
        await until(lambda: sum(each.path.endswith(f"{web.id}/stats") for each in engine.requests) >= 3)
        for task in both:
            task.cancel()
