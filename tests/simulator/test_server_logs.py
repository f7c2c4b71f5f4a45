"""`/logs` and `/attach`: what is refused, and what the query chooses."""

import pytest
from aiohttp import HttpVersion10

from agent.simulator import SimulatedEngine, State
from tests.simulator.client import Client, frames, texts

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


async def test_logs_refuse_what_moby_refuses(simulated: SimulatedEngine, client: Client) -> None:
    """With its words."""
    simulated.create("web").start()
    simulated.create("none", driver="none").start()
    both = {"stdout": "1", "stderr": "1"}
    assert await client.message("GET", "/containers/web/logs") == (
        400,
        "Bad parameters: you must choose at least one stream",
    )
    assert await client.message("GET", "/containers/web/logs", stdout="1", since="abc") == (
        500,
        'strconv.ParseInt: parsing "abc": invalid syntax',
    )
    assert await client.message("GET", "/containers/none/logs", **both) == (
        501,
        "configured logging driver does not support reading",
    )
    assert await client.message("GET", "/containers/no/logs", **both) == (404, "No such container: no")


async def test_logs_of_a_removed_container_are_409_then_404(socket_path: str) -> None:
    """With `--rm` right after `die`; who reads already reads to the end."""
    async with SimulatedEngine(socket_path, removal_seconds=60) as simulated, Client(socket_path) as client:
        container = simulated.create("brief", auto_remove=True)
        container.start()
        reading = await client.follow("brief")
        container.write(b"hello\n")
        container.finish()
        refused = (409, "can not get logs from container which is dead or marked for removal")
        assert container.state is State.REMOVING
        assert await client.message("GET", "/containers/brief/logs", stdout="1") == refused
        container.remove()
        status, _ = await client.message("GET", "/containers/brief/logs", stdout="1")
        assert status == 404
        assert texts(await reading.rest()) == [b"hello\n"]


async def test_an_auto_removed_container_is_destroyed_by_itself(
    simulated: SimulatedEngine, client: Client
) -> None:
    """Soon after it died."""
    container = simulated.create("brief", auto_remove=True)
    listening = await client.events(since="1", filters='{"event":["die","destroy"]}')
    container.start()
    container.finish()
    assert [(await listening.event())["Action"] for _ in range(2)] == ["die", "destroy"]
    assert simulated.containers == ()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [(1, b"out\n"), (2, b"err\n"), (1, b"last")]),
        ({"stderr": "0"}, [(1, b"out\n"), (1, b"last")]),
        ({"stdout": ""}, [(2, b"err\n")]),
        ({"tail": "1"}, [(1, b"last")]),
        ({"tail": "all"}, [(1, b"out\n"), (2, b"err\n"), (1, b"last")]),
        ({"since": "1.000000007"}, [(2, b"err\n"), (1, b"last")]),
        ({"until": "1.000000007"}, [(1, b"out\n"), (2, b"err\n")]),
        ({"details": "1", "tail": "1"}, [(1, b"owner=me,stage=dev last")]),
        ({"timestamps": "1", "tail": "1"}, [(1, b"1970-01-01T00:00:02.000000000Z last")]),
        ({"follow": "1"}, [(1, b"out\n"), (2, b"err\n"), (1, b"last")]),
    ],
)
async def test_logs_give_what_is_asked_for(
    simulated: SimulatedEngine, client: Client, query: dict[str, str], expected: list[tuple[int, bytes]]
) -> None:
    """Following a container that has ended is reading it."""
    options = {"labels": "owner,absent", "env": "stage"}
    container = simulated.create("web", labels={"owner": "me"}, env={"stage": "dev"}, log_options=options)
    container.start()
    container.write(b"out\n", at=1_000_000_000)
    container.write(b"err\n", "stderr", at=1_000_000_007)
    container.append_raw("stdout", b"last", 2_000_000_000)
    container.finish()
    assert list(frames(await client.logs("web", **query))) == expected


@pytest.mark.parametrize(("version", "kept"), [("28.5.2", [b"5\n", b"2\n"]), ("23.0.6", [b"5\n"])])
async def test_since_is_tested_once_since_engine_24(
    socket_path: str, version: str, kept: list[bytes]
) -> None:
    """Before that an older record behind it vanished."""
    async with (
        SimulatedEngine(socket_path, engine_version=version) as simulated,
        Client(socket_path) as client,
    ):
        container = simulated.create("web")
        container.start()
        for second in (1, 5, 2):
            container.write(b"%d\n" % second, at=second * 1_000_000_000)
        assert texts(await client.logs("web", since="3")) == kept


@pytest.mark.parametrize(
    ("engine_version", "api", "tty", "content_type"),
    [
        ("28.5.2", "1.42", False, MULTIPLEXED),
        ("28.5.2", "1.42", True, RAW),
        ("28.5.2", "1.41", False, RAW),
        ("20.10.24", "1.41", False, None),
    ],
)
async def test_the_content_type_tells_frames_from_1_42_on(
    socket_path: str, engine_version: str, api: str, *, tty: bool, content_type: str | None
) -> None:
    """Measured on 20.10 and 28.5."""
    async with SimulatedEngine(socket_path, engine_version=engine_version) as simulated:
        simulated.create("web", tty=tty)
        async with Client(socket_path) as client:
            headers = await client.headers("GET", f"/v{api}/containers/web/logs", stdout="1")
    assert headers.get("Content-Type") == content_type


async def test_an_http_1_0_request_gets_the_bare_body(simulated: SimulatedEngine, socket_path: str) -> None:
    """Closed at its end."""
    container = simulated.create("web")
    container.start()
    async with Client(socket_path, HttpVersion10) as client:
        reading = await client.follow("web")
        container.write(b"hello\n")
        container.finish()
        assert reading.response.version == HttpVersion10
        assert "Transfer-Encoding" not in reading.response.headers
        assert texts(await reading.rest()) == [b"hello\n"]


@pytest.mark.parametrize(
    ("deeds", "status", "text"),
    [
        ("start pause", 409, "container web is paused, unpause the container before attach"),
        ("start finish", 409, "container web is restarting, wait until the container is running"),
        ("remove", 404, "No such container: web"),
    ],
)
async def test_attach_refuses_on_the_bare_connection(
    simulated: SimulatedEngine, client: Client, deeds: str, status: int, text: str
) -> None:
    """In plain text, as moby does: it has taken the connection over by then."""
    container = simulated.create("web", restart_policy="always")
    for deed in deeds.split():
        getattr(container, deed)()
    assert await client.request("POST", "/containers/web/attach", stream="1") == (
        status,
        f"{text}\r\n".encode(),
    )
