"""Which containers there are, on an Engine that forgets, cuts and goes away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping

import pytest

from agent.compat import Peers
from agent.engine.changes import Appeared, Change, Died, EngineBack, EngineLost, Gone, Renamed
from agent.engine.client import EngineClient
from agent.engine.containers import ContainerFacts
from agent.engine.discovery import Discovery, pause_s, wanted
from agent.engine.own import Traces
from agent.errors import EngineUnreachable, UsageError
from agent.metrics import Metrics
from agent.selectors import Selector
from agent.simulator import SimulatedEngine
from agent.simulator.faults import Route
from tests.engine_room.heard import Heard, Settings

DEADLINE_S = 30.0
PROJECT = "com.docker.compose.project"


@contextlib.asynccontextmanager
async def discovering(
    client: EngineClient,
    *,
    settings: Settings | None = None,
    own: Traces | None = None,
    relist_every: float = 60.0,
    metrics: Metrics | None = None,
) -> AsyncIterator[Heard]:
    """A Discovery at work."""
    discovery = Discovery(
        client,
        settings=settings or Settings(),
        own=own or Traces(),
        metrics=metrics or Metrics(),
        relist_every=relist_every,
    )
    heard = Heard()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(discovery.run(heard))
        yield heard
        running.cancel()


async def connected(heard: Heard) -> None:
    await heard.until(lambda: bool(heard.all(EngineBack)))


async def test_what_is_there_appears_running_or_not(engine: SimulatedEngine, client: EngineClient) -> None:
    runs, ended, idle = engine.create("runs"), engine.create("ended"), engine.create("idle")
    runs.start()
    ended.start()
    ended.finish(3)
    async with discovering(client) as heard:
        await heard.until(lambda: len(heard.all(Appeared)) == 3)
    seen = {change.facts.id: change.facts for change in heard.all(Appeared)}
    assert seen[runs.id].running
    assert (seen[ended.id].running, seen[ended.id].exit_code) == (False, 3)
    assert seen[idle.id].status == "created"
    assert len(heard.changes) == 4


async def test_a_life_is_told_in_order(engine: SimulatedEngine, client: EngineClient) -> None:
    async with discovering(client) as heard:
        await connected(heard)
        web = engine.create("web")
        await heard.told(web.id, "Appeared")
        web.start()
        await heard.told(web.id, "Appeared", "Started")
        web.rename("shop")
        await heard.told(web.id, "Appeared", "Started", "Renamed")
        web.finish(4)
        await heard.told(web.id, "Appeared", "Started", "Renamed", "Died")
        web.start()
        await heard.told(web.id, "Appeared", "Started", "Renamed", "Died", "Started")
        web.stop()
        web.remove()
        await heard.told(web.id, "Appeared", "Started", "Renamed", "Died", "Started", "Died", "Gone")
    assert [change.exit_code for change in heard.all(Died)] == [4, 137]
    assert [change.facts.name for change in heard.all(Renamed)] == ["shop"]


async def test_one_that_came_and_went_at_once_is_told_of(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """When its events are read it is gone: what they say is all there is."""
    async with discovering(client) as heard:
        await connected(heard)
        short = engine.create("short", image="job:2", labels={"a": "b"})
        short.start()
        short.finish()
        short.remove()
        await heard.told(short.id, "Appeared", "Started", "Died", "Gone")
    facts = heard.all(Appeared)[0].facts
    assert (facts.name, facts.image, facts.labels, facts.partial) == ("short", "job:2", {"a": "b"}, True)


async def test_a_hundred_at_once_are_told_within_two_seconds(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    async with discovering(client) as heard:
        await connected(heard)
        async with asyncio.timeout(2):
            for number in range(100):
                engine.create(f"web-{number}").start()
            await heard.until(lambda: len(heard.all(Appeared)) == 100)


async def test_what_events_did_not_tell_the_next_list_does(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    renamed, restarted, removed = (engine.create(name) for name in ("renamed", "restarted", "removed"))
    restarted.start()
    async with discovering(client, relist_every=0.1) as heard:
        await heard.until(lambda: len(heard.all(Appeared)) == 3)
        engine.faults.lose_events(count=None)
        new = engine.create("new")
        new.start()
        renamed.rename("other")
        restarted.restart()
        removed.remove()
        await heard.told(new.id, "Appeared")
        await heard.told(renamed.id, "Appeared", "Renamed")
        await heard.told(restarted.id, "Appeared", "Died", "Started")
        await heard.told(removed.id, "Appeared", "Gone")


async def test_a_subscription_that_is_cut_is_no_lost_engine(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """Proxies cut it every ten minutes. What happened meanwhile is told, what was told is not."""
    web = engine.create("web")
    async with discovering(client) as heard:
        await heard.told(web.id, "Appeared")
        shorts = []
        for number in range(3):
            engine.faults.cut(route="events", reset=bool(number % 2))
            short = engine.create(f"short-{number}")
            short.start()
            short.finish()
            short.remove()
            await heard.gone(short.id)
            shorts.append(short.id)
    assert [heard.of(short).count("Appeared") for short in shorts] == [1, 1, 1]
    assert heard.of(web.id) == ["Appeared"]
    assert heard.all(EngineLost) == []
    assert len(heard.all(EngineBack)) == 1


async def test_health_checks_do_not_push_out_what_counts(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """The Engine remembers 256 events: the list after the cut makes up for those forgotten."""
    web = engine.create("web")
    web.start()
    async with discovering(client) as heard:
        await heard.told(web.id, "Appeared")
        await engine.go_down()
        await engine.come_back()
        new = engine.create("new")
        web.check_health(times=300)
        await heard.told(new.id, "Appeared")
        web.finish()
        await heard.told(web.id, "Appeared", "Died")


async def test_an_engine_that_restarts_is_found_again_as_another_version(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    stays, goes, dies = (engine.create(name) for name in ("stays", "goes", "dies"))
    stays.start()
    dies.start()
    metrics = Metrics()
    async with discovering(client, metrics=metrics) as heard:
        await heard.until(lambda: len(heard.all(Appeared)) == 3)
        await engine.go_down()
        await heard.until(lambda: bool(heard.all(EngineLost)))
        assert metrics.engine_connected._value.get() == 0
        engine.faults.lose_events(count=None)  # the first list has to tell
        await engine.come_back(api_version="1.44", minimum_api_version="1.44", engine_version="25.0.0")
        goes.remove()
        dies.finish(1)
        new = engine.create("new")
        new.start()
        await heard.told(new.id, "Appeared")
        await heard.told(goes.id, "Appeared", "Gone")
        await heard.told(dies.id, "Appeared", "Died")
        assert metrics.engine_connected._value.get() == 1
        await engine.go_down()
        await heard.count(EngineLost, 2)
    assert heard.of(stays.id) == ["Appeared"]
    assert [change.version.api for change in heard.all(EngineBack)] == [(1, 51), (1, 44)]


async def test_an_agent_that_starts_before_its_engine_waits(socket_path: str, client: EngineClient) -> None:
    async with discovering(client) as heard:
        await heard.until(lambda: bool(heard.all(EngineLost)))
        async with SimulatedEngine(socket_path) as engine:
            web = engine.create("web")
            await heard.told(web.id, "Appeared")
    assert "does not exist" in heard.all(EngineLost)[0].why


async def test_waiting_is_said_once(
    engine: SimulatedEngine, client: EngineClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.engine.discovery")
    engine.faults.refuse(503, "starting", route="ping", count=3)
    async with discovering(client) as heard:
        await connected(heard)
    assert [type(change) for change in heard.changes] == [EngineLost, EngineBack]
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "waiting for the Engine: the Engine answered 503: starting"
    assert said[1].startswith("connected to Docker Engine 28.5.2, API 1.51 at unix://")
    assert len(said) == 2


@pytest.mark.parametrize("route", ["events", "list"])
async def test_a_proxy_that_forbids_what_is_needed_is_told_once(
    engine: SimulatedEngine, client: EngineClient, route: Route
) -> None:
    """It connects each time, only to be refused: that is neither back nor lost anew."""
    engine.faults.refuse(403, "Forbidden", route=route, count=3)
    async with discovering(client) as heard:
        await connected(heard)
    assert [type(change) for change in heard.changes] == [EngineLost, EngineBack]
    assert heard.all(EngineLost)[0].why == "the Engine answered 403: Forbidden"


@pytest.mark.parametrize(
    ("failures", "least", "most"), [(0, 0.1, 0.2), (1, 0.2, 0.4), (5, 3.2, 6.4), (6, 5, 10), (10_000, 5, 10)]
)
def test_the_engine_is_asked_ever_less_often(failures: int, least: float, most: float) -> None:
    assert pause_s(failures, 0.0) == pytest.approx(least)
    assert pause_s(failures, 1.0) == pytest.approx(most)


async def test_what_an_event_told_survives_an_engine_that_is_busy(
    engine: SimulatedEngine, client: EngineClient
) -> None:
    """An inspect that fails for a while does not lose the container."""
    async with discovering(client, relist_every=0.1) as heard:
        await connected(heard)
        engine.faults.refuse(500, "busy", route="inspect", count=3)
        web = engine.create("web")
        await heard.told(web.id, "Appeared")


async def test_what_an_event_told_survives_a_lost_connection(
    engine: SimulatedEngine, client: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that the event asked for is taken again, long before the next list."""
    inspect, losses = client.inspect, iter([EngineUnreachable("lost"), EngineUnreachable("lost")])

    async def inspect_at_the_third_attempt(id: str) -> ContainerFacts:
        for loss in losses:
            raise loss
        return await inspect(id)

    async with discovering(client) as heard:
        await connected(heard)
        monkeypatch.setattr(client, "inspect", inspect_at_the_third_attempt)
        web = engine.create("web")
        await heard.told(web.id, "Appeared")


async def test_run_again_after_an_error_it_goes_on(engine: SimulatedEngine, client: EngineClient) -> None:
    web, bad = engine.create("web"), engine.create("bad")
    discovery = Discovery(client, settings=Settings(), own=Traces(), metrics=Metrics())
    heard = Heard()

    async def fail(change: Change) -> None:
        await heard(change)
        if isinstance(change, Gone):
            raise LookupError(change.id)  # noqa: TRY004 - any error would do

    async with asyncio.TaskGroup() as tasks:
        failing = tasks.create_task(_swallow(discovery.run(fail)))
        await heard.count(Appeared, 2)
        bad.remove()
        await failing
        again = tasks.create_task(discovery.run(heard))
        web.start()
        await heard.until(lambda: "Started" in heard.of(web.id))
        again.cancel()
    assert heard.of(web.id) == ["Appeared", "Started"]
    assert heard.of(bad.id) == ["Appeared", "Gone"]


async def _swallow(run: Coroutine[None, None, None]) -> None:
    with pytest.raises(ExceptionGroup):
        await run


async def test_a_name_may_make_a_container_wanted(engine: SimulatedEngine, client: EngineClient) -> None:
    settings = Settings(include=[Selector.parse("web-*")])
    other = engine.create("other")
    async with discovering(client, settings=settings) as heard:
        await connected(heard)
        other.rename("web-1")
        await heard.told(other.id, "Appeared")
        other.rename("other")
        await heard.told(other.id, "Appeared", "Gone")


async def test_our_own_container_is_left_out(engine: SimulatedEngine, client: EngineClient) -> None:
    own = engine.create("agent")
    own.start()
    web = engine.create("web")
    async with discovering(client, own=Traces(hints=(own.id[:12],))) as heard:
        await heard.told(web.id, "Appeared")
        own.rename("ferry")
        web.rename("shop")
        await heard.told(web.id, "Appeared", "Renamed")
    assert heard.of(own.id) == []


async def test_a_sidecar_sees_its_own_project_only(engine: SimulatedEngine, client: EngineClient) -> None:
    own = engine.create("agent", labels={PROJECT: "shop"})
    own.start()
    web, foreign = engine.create("web", labels={PROJECT: "shop"}), engine.create("foreign")
    async with discovering(client, settings=Settings(scope="project"), own=Traces(cgroup=(own.id,))) as heard:
        await heard.told(web.id, "Appeared")
        last = engine.create("last", labels={PROJECT: "shop"})
        await heard.told(last.id, "Appeared")
    assert heard.of(foreign.id) == []


@pytest.mark.parametrize("labels", [{}, None])
async def test_a_sidecar_without_a_project_says_what_to_do(
    engine: SimulatedEngine, client: EngineClient, labels: Mapping[str, str] | None
) -> None:
    own = engine.create("agent", labels=labels)
    own.start()
    traces = Traces() if labels is None else Traces(cgroup=(own.id,))
    discovery = Discovery(client, settings=Settings(scope="project"), own=traces, metrics=Metrics())
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(UsageError, match="DOCKFERRY_SCOPE=project"):
            await discovery.run(lambda _change: None)


@pytest.mark.parametrize(
    ("label", "opt_in", "label_config", "expected"),
    [
        (None, False, True, True),
        (None, True, True, False),
        ("true", True, True, True),
        ("true", True, False, True),
        ("false", False, True, False),
        ("false", False, False, True),
        ("false", True, False, False),
        ("perhaps", False, True, True),
        ("perhaps", True, True, False),
    ],
)
def test_a_containers_label_switches_it(
    *, label: str | None, opt_in: bool, label_config: bool, expected: bool
) -> None:
    labels = {} if label is None else {"dockferry.enable": label}
    facts = ContainerFacts("a" * 64, "web", labels=labels)
    assert wanted(Settings(opt_in=opt_in, label_config=label_config), facts, own=None) is expected


def test_the_switch_does_not_undo_a_selector() -> None:
    facts = ContainerFacts("a" * 64, "web", labels={"dockferry.enable": "true"})
    assert not wanted(Settings(exclude=[Selector.parse("web")]), facts, own=None)


@pytest.mark.parametrize(
    ("enable", "label_config", "expected"),
    [(None, True, False), ("true", True, True), (None, False, True), ("false", True, False)],
)
def test_a_pods_sandbox_is_left_out(*, enable: str | None, label_config: bool, expected: bool) -> None:
    """It writes nothing; but where labels mean nothing, none hides a container."""
    labels = {"io.kubernetes.docker.type": "podsandbox"} | ({"dockferry.enable": enable} if enable else {})
    facts = ContainerFacts("a" * 64, "k8s_POD_web", labels=labels)
    assert wanted(Settings(label_config=label_config), facts, own=None) is expected


@pytest.mark.parametrize(
    ("env", "label", "peers", "expected"),
    [
        ("ignore", None, "logspout", False),
        ("ignore", None, "", True),
        ("ignore", "true", "logspout", True),
        ("no", None, "logspout", True),
    ],
)
def test_a_container_may_leave_itself_out_in_another_agents_words(
    *, env: str, label: str | None, peers: str, expected: bool
) -> None:
    """If these are understood; our own label comes first."""
    labels = {"dockferry.enable": label} if label else {}
    facts = ContainerFacts("a" * 64, "web", labels=labels, env={"LOGSPOUT": env})
    assert wanted(Settings(compat=Peers.parse(peers)), facts, own=None) is expected
