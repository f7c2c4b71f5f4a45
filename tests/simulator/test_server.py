"""Each route, as an agent, the Docker SDK and moby's own clients meet it."""

import asyncio
import json
from typing import Any

import docker
import pytest

from agent.simulator import SimulatedEngine
from tests.simulator.client import Client


async def test_every_answer_tells_the_version(simulated: SimulatedEngine, client: Client) -> None:
    """Errors too."""
    for path in ("/_ping", "/version", "/nosuch", "/v1.99/info"):
        headers = await client.headers("GET", path)
        assert headers["Api-Version"] == "1.51"
        assert headers["Server"] == "Docker/28.5.2 (linux)"


async def test_ping_answers_get_and_head(simulated: SimulatedEngine, client: Client) -> None:
    """With and without a body."""
    assert await client.request("GET", "/_ping") == (200, b"OK")
    assert await client.request("HEAD", "/v1.40/_ping") == (200, b"")


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1.52", "client version 1.52 is too new. Maximum supported API version is 1.51"),
        (
            "1.23",
            (
                "client version 1.23 is too old. Minimum supported API version is 1.24, "
                "please upgrade your client to a newer version"
            ),
        ),
    ],
)
async def test_versions_outside_the_span_are_refused(
    simulated: SimulatedEngine, client: Client, version: str, text: str
) -> None:
    """To clients from before 1.24 in plain text, as moby does."""
    status, body = await client.request("GET", f"/v{version}/info")
    assert status == 400
    assert body.decode() == (
        f"{text}\n" if version == "1.23" else json.dumps({"message": text}, separators=(",", ":"))
    )


async def test_versions_inside_the_span_are_served(simulated: SimulatedEngine, client: Client) -> None:
    """Both ends included."""
    for version in ("1.24", "1.41", "1.51"):
        assert (await client.json(f"/v{version}/version"))["ApiVersion"] == "1.51"


async def test_unknown_paths_and_methods_are_not_found(simulated: SimulatedEngine, client: Client) -> None:
    """moby has no 405."""
    assert await client.message("GET", "/nosuch") == (404, "page not found")
    assert await client.message("PUT", "/containers/json") == (404, "page not found")


async def test_info_names_the_host_and_counts_containers(simulated: SimulatedEngine, client: Client) -> None:
    """A restarting container counts as running."""
    simulated.create("created")
    simulated.create("running").start()
    restarting = simulated.create("restarting", restart_policy="always")
    restarting.start()
    restarting.finish(1)
    info = await client.json("/info")
    assert info["Name"] == "simulated"
    assert info["ServerVersion"] == "28.5.2"
    counts = [info[f"Containers{kind}"] for kind in ("", "Running", "Paused", "Stopped")]
    assert counts == [3, 2, 0, 1]


async def test_inspect_tells_what_an_agent_needs(simulated: SimulatedEngine, client: Client) -> None:
    """In the API's own places."""
    container = simulated.create(
        "web",
        "nginx:1",
        labels={"a": "b"},
        env={"X": "1"},
        tty=True,
        driver="local",
        log_options={"max-size": "1m"},
        restart_policy="always",
    )
    container.start()
    document = await client.json("/containers/web/json")
    assert document["Id"] == container.id
    assert document["Name"] == "/web"
    assert document["Image"].startswith("sha256:")
    config = document["Config"]
    assert (config["Tty"], config["Labels"], config["Env"]) == (True, {"a": "b"}, ["X=1"])
    assert config["Image"] == "nginx:1"
    assert document["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-size": "1m"}}
    assert document["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert document["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert document["State"]["StartedAt"].endswith("Z")


@pytest.mark.parametrize(
    ("deeds", "flags", "exit_code"),
    [
        ("", ("created", False, False, False), 0),
        ("start", ("running", True, False, False), 0),
        ("start pause", ("paused", True, True, False), 0),
        ("start pause unpause", ("running", True, False, False), 0),
        ("start finish", ("restarting", True, False, True), 3),
        ("start stop", ("exited", False, False, False), 137),
    ],
)
async def test_the_state_has_moby_s_flags(
    simulated: SimulatedEngine,
    client: Client,
    deeds: str,
    flags: tuple[str, bool, bool, bool],
    exit_code: int,
) -> None:
    """A restarting container says that it is running."""
    container = simulated.create("web", restart_policy="always")
    for deed in deeds.split():
        if deed == "finish":
            container.finish(3)
        else:
            getattr(container, deed)()
    state = (await client.json("/containers/web/json"))["State"]
    assert (state["Status"], state["Running"], state["Paused"], state["Restarting"]) == flags
    assert state["ExitCode"] == exit_code


async def test_a_container_is_found_by_id_name_and_prefix(simulated: SimulatedEngine, client: Client) -> None:
    """A prefix of two is ambiguous."""
    first = simulated.create("web")
    same_digit = next(c for n in range(99) if (c := simulated.create(f"c{n}")).id[0] == first.id[0])
    for reference in (first.id, "web", first.id[:12]):
        assert (await client.json(f"/containers/{reference}/json"))["Id"] == first.id
    assert (await client.json(f"/containers/{same_digit.id[:12]}/json"))["Id"] == same_digit.id
    text = f"Multiple IDs found with provided prefix: {first.id[0]}"
    assert await client.message("GET", f"/containers/{first.id[0]}/json") == (400, text)
    assert await client.message("GET", "/containers/we/json") == (404, "No such container: we")


async def names(client: Client, **query: Any) -> list[str]:  # noqa: ANN401  (JSON)
    """List, and return the names."""
    if "filters" in query:
        query["filters"] = json.dumps(query["filters"])
    return [entry["Names"][0] for entry in await client.json("/containers/json", **query)]


async def test_the_list_has_the_newest_first_and_filters(simulated: SimulatedEngine, client: Client) -> None:
    """Only what runs, unless all are asked for, or a status."""
    simulated.create("created", labels={"tier": "back"})
    simulated.create("web", labels={"tier": "front"}).start()
    simulated.create("paused").start()
    simulated.find("paused").pause()
    simulated.create("done").start()
    simulated.find("done").finish()
    assert await names(client) == ["/paused", "/web"]
    assert await names(client, all="1") == ["/done", "/paused", "/web", "/created"]
    assert await names(client, all="true", filters={"label": ["tier"]}) == ["/web", "/created"]
    assert await names(client, all="1", filters={"label": {"tier=front": True}}) == ["/web"]
    assert await names(client, filters={"status": ["exited", "created"]}) == ["/done", "/created"]
    assert await names(client, all="1", filters={"name": ["^/?we"]}) == ["/web"]
    assert await names(client, all="1", filters={"id": [simulated.find("done").id]}) == ["/done"]


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ("no", "invalid filter"),
        ('{"foo":["x"]}', "invalid filter 'foo'"),
        (
            '{"status":["x"]}',
            (
                "invalid filter 'status=x': invalid value for state (x): must be one of "
                "created, running, paused, restarting, removing, exited, dead"
            ),
        ),
    ],
)
async def test_wrong_filters_of_the_list_are_refused(
    simulated: SimulatedEngine, client: Client, filters: str, text: str
) -> None:
    """In the words of Engine 28."""
    assert await client.message("GET", "/containers/json", filters=filters) == (400, text)


async def test_refusals_and_delays_befall_their_route(simulated: SimulatedEngine, client: Client) -> None:
    """In moby's form; then all is well again."""
    container = simulated.create("web")
    for status in (403, 409, 500, 503):
        simulated.faults.refuse(status, "not now", route="logs", container=container)
        assert await client.message("GET", "/containers/web/logs", stdout="1") == (status, "not now")
        assert await client.logs("web") == b""
    simulated.faults.delay(0.2, route="list")
    before = asyncio.get_running_loop().time()
    await client.json("/info")
    await client.json("/containers/json")
    assert asyncio.get_running_loop().time() - before >= 0.2
    simulated.faults.forbid_post()
    assert (await client.message("POST", "/containers/web/attach"))[0] == 403


async def test_requests_are_noted(simulated: SimulatedEngine, client: Client) -> None:
    """For tests to count."""
    before = simulated.now()
    await client.request("GET", "/v1.41/containers/json", all="1")
    await client.request("GET", "/nosuch")
    assert [(r.method, r.path, r.query) for r in simulated.requests] == [
        ("GET", "/v1.41/containers/json", {"all": "1"}),
        ("GET", "/nosuch", {}),
    ]
    assert before <= simulated.requests[0].at <= simulated.now()


async def test_the_docker_sdk_is_at_home(simulated: SimulatedEngine) -> None:
    """Negotiation, list, inspect, logs and events through docker-py."""
    container = simulated.create("web", "nginx:1", labels={"a": "b"})
    container.start()
    container.write(b"hello\n")
    container.finish()

    def use_it() -> None:
        client = docker.DockerClient(base_url=simulated.docker_host)
        try:
            (found,) = client.containers.list(all=True, filters={"label": "a=b"})
            assert (found.id, found.name, found.status) == (container.id, "web", "exited")
            assert found.logs() == b"hello\n"
            events = client.events(since=1, until=simulated.now() // 10**9 + 1, decode=True)
            assert [next(events)["Action"] for _ in range(3)] == ["create", "start", "die"]
            events.close()
        finally:
            client.close()

    await asyncio.to_thread(use_it)
