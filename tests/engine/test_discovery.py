"""Discovery, and what it stands on, with a real Engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from docker.models.containers import Container

from agent.engine.changes import Appeared, EngineBack, EngineLost, Gone, Renamed
from agent.engine.client import EngineClient
from agent.engine.discovery import Discovery
from agent.engine.endpoint import resolve
from agent.engine.own import Traces, find
from agent.errors import EngineRefused
from agent.metrics import Metrics
from agent.selectors import Selector
from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine, PrivateEngine
from tests.engine_room.heard import Heard, Settings

pytestmark = pytest.mark.engine


def id_of(container: Container) -> str:
    """Its id, which the SDK's types say it may not have."""
    assert container.id is not None
    return container.id


@contextlib.asynccontextmanager
async def connected_to(host: str) -> AsyncIterator[EngineClient]:
    async with EngineClient(resolve({"DOCKER_HOST": host}), docker={}) as client:
        await client.connect()
        yield client


@contextlib.asynccontextmanager
async def discovering(host: str, label: str) -> AsyncIterator[Heard]:
    """A Discovery at work, connected, for containers with this label."""
    heard = Heard()
    settings = Settings(include=(Selector.parse(f"label={label}"),))
    async with connected_to(host) as client, asyncio.TaskGroup() as tasks:
        discovery = Discovery(client, settings=settings, own=Traces(), metrics=Metrics())
        running = tasks.create_task(discovery.run(heard))
        await heard.count(EngineBack, 1)
        yield heard
        running.cancel()


async def test_the_engine_is_told_as_the_sdk_tells_it(engine: Engine) -> None:
    async with connected_to(engine.host) as client:
        version = client.version
        assert ".".join(map(str, version.api)) == engine.api_version
        assert version.engine.startswith(".".join(map(str, engine.version)))
        assert version.name == await asyncio.to_thread(lambda: engine.client.info()["Name"])
        assert version.podman == engine.podman
        assert abs(await client.now_ns() - time.time_ns()) < 3_000_000_000


async def test_facts_are_those_of_the_container(engine: Engine, run_container: RunContainer) -> None:
    """Podman has no driver local, and does not tell options."""
    driver, options = ("json-file", {}) if engine.podman else ("local", {"max-size": "1m"})
    container = run_container.create(
        "usleep 100000; exit 3",
        tty=True,
        environment={"K": "V=W"},
        log_driver=driver,
        log_opts={"max-size": "1m"},
    )
    async with connected_to(engine.host) as client:
        created = await client.inspect(id_of(container))
        container.start()
        container.wait()
        ended = await client.inspect(id_of(container))
    assert (created.status, created.running, created.started_ns) == ("created", False, 0)
    assert (created.name, created.tty, created.driver) == (container.name, True, driver)
    assert created.log_options.items() >= options.items()
    assert created.env["K"] == "V=W"
    assert (ended.status, ended.exit_code, ended.running) == ("exited", 3, False)
    # Of a container that ends at once, Engine 20.10 may note the end before the start.
    assert created.created_ns < ended.started_ns < ended.finished_ns


async def test_a_log_is_followed_to_its_end(engine: Engine, run_container: RunContainer) -> None:
    container = run_container("echo one; echo two; sleep 0.2; echo three")
    async with (
        connected_to(engine.host) as client,
        client.stream_logs(id_of(container), since=None, tail=None, follow=True) as chunks,
    ):
        body = b"".join([chunk async for chunk in chunks])
    assert [line.rpartition(b" ")[2] for line in body.splitlines()] == [b"one", b"two", b"three"]


async def test_a_driver_that_keeps_nothing_is_refused(engine: Engine, run_container: RunContainer) -> None:
    container = run_container("echo one", log_driver="none")
    why = "is not logging output" if engine.podman else "does not support reading"
    async with connected_to(engine.host) as client:
        with pytest.raises(EngineRefused, match=why) as caught:
            async with client.stream_logs(id_of(container), since=None, tail=None, follow=True):
                pass
    assert caught.value.status == 501


async def test_short_lives_are_all_told(engine: Engine, run_container: RunContainer) -> None:
    """`--rm` containers that live a few milliseconds: each appears, and each is gone."""
    async with discovering(engine.host, run_container.label) as heard:
        for _ in range(10):
            await asyncio.to_thread(run_container, "echo hi", auto_remove=True)
        await heard.count(Gone, 10)
        await heard.count(Appeared, 10)
    for change in heard.changes:
        if isinstance(change, Appeared):
            told = heard.of(change.facts.id)
            assert (told[0], told[-1], told.count("Gone")) == ("Appeared", "Gone", 1)


async def test_a_restart_is_an_end_and_a_start(engine: Engine, run_container: RunContainer) -> None:
    async with discovering(engine.host, run_container.label) as heard:
        # Each is awaited: Podman's events may be 250 ms late, and what happened by then is told as one.
        container = await asyncio.to_thread(run_container, "sleep 60")
        await heard.until(lambda: heard.runs(id_of(container)))
        begin = len(heard.of(id_of(container)))
        await asyncio.to_thread(container.rename, f"{container.name}-renamed")
        await heard.count(Renamed, 1)
        await asyncio.to_thread(container.restart, timeout=0)
        await heard.until(lambda: len(heard.of(id_of(container))) == begin + 3)
        await asyncio.to_thread(container.remove, force=True)
        await heard.gone(id_of(container))
    assert heard.of(id_of(container))[0] == "Appeared"
    assert heard.of(id_of(container))[begin:] == ["Renamed", "Died", "Started", "Died", "Gone"]


async def test_the_layer_tells_our_container_from_the_one_whose_network_we_share(
    engine: Engine, run_container: RunContainer
) -> None:
    """Docker mounts the other one's /etc/hostname into ours, and gives us its hostname."""
    other = run_container("sleep 60")
    ours = run_container("sleep 60", network_mode=f"container:{id_of(other)}")
    ours.reload()
    layer = (ours.attrs.get("GraphDriver") or {}).get("Data", {}).get("UpperDir")
    hints = (id_of(other), id_of(other)[:12])
    async with connected_to(engine.host) as client:
        assert await find(client, Traces(hints=hints)) is None
        assert await find(client, Traces(hints=hints, upper="/elsewhere/diff")) is None
        found = await find(client, Traces(hints=hints, upper=layer))
        assert found is None if layer is None else found is not None and found.id == id_of(ours)
        by_cgroup = await find(client, Traces(cgroup=(id_of(ours),), hints=hints))
        assert by_cgroup is not None
        assert by_cgroup.id == id_of(ours)
        assert await find(client, Traces(cgroup=("0" * 64,), hints=("0" * 12,))) is None


async def test_a_container_alone_is_known_by_its_hostname(
    engine: Engine, run_container: RunContainer
) -> None:
    ours = run_container("sleep 60")
    async with connected_to(engine.host) as client:
        found = await find(client, Traces(hints=(id_of(ours)[:12],)))
    assert found is not None
    assert found.id == id_of(ours)


@pytest.mark.chaos
@pytest.mark.parametrize("private_engine", [["--live-restore"]], indirect=True)
async def test_an_engine_that_is_killed_is_found_again(private_engine: PrivateEngine) -> None:
    """Containers that ran on are not told anew; those that ended meanwhile are."""
    run = private_engine.run_container
    async with discovering(private_engine.host, run.label) as heard:
        stays = await asyncio.to_thread(run, "sleep 600")
        ends = await asyncio.to_thread(run, "sleep 600")
        await heard.until(lambda: heard.runs(id_of(stays)) and heard.runs(id_of(ends)))
        ends.reload()
        await asyncio.to_thread(private_engine.kill)
        await heard.count(EngineLost, 1)
        os.kill(ends.attrs["State"]["Pid"], signal.SIGKILL)
        await asyncio.to_thread(private_engine.start)
        await heard.count(EngineBack, 2)
        new = await asyncio.to_thread(run, "sleep 600")
        await heard.until(lambda: heard.runs(id_of(new)) and heard.of(id_of(ends))[-1] == "Died")
    assert "Died" not in heard.of(id_of(stays))
    assert heard.of(id_of(stays)).count("Started") <= 1
