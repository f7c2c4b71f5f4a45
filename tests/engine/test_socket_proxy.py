"""The socket proxies of conf/socket-proxy, real ones, before a real Engine: the agent reads, nobody may do more."""

from __future__ import annotations

import contextlib
import http.client
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.recorded import Recorder
from tests.engine.shipping import Agent, messages, records, until
from tests.receivers.program import free_port, listening, plain_environment, running

pytestmark = pytest.mark.engine
CONF = Path(__file__).parents[2] / "conf/socket-proxy"
SOCKET = "/var/run/docker.sock"
FORBIDDEN = [
    ("POST", "/containers/create"),
    ("POST", "/v1.41/containers/create?name=x"),
    ("POST", "/containers/{id}/exec"),
    ("POST", "/exec/{id}/start"),
    ("POST", "/containers/{id}/stop"),
    ("POST", "/containers/{id}/attach?stream=1&stdin=1&stdout=1"),
    ("POST", "/containers/{id}/json"),
    ("POST", "/images/create?fromImage=x"),
    ("POST", "/build"),
    ("DELETE", "/containers/{id}"),
    ("PUT", "/containers/{id}/archive?path=/"),
    ("GET", "/containers/{id}/archive?path=/etc"),
    ("GET", "/containers/{id}/export"),
    ("GET", "/containers/{id}/attach/ws?stream=1&stdin=1"),
    ("GET", "/containers/{id}/top"),
    ("GET", "/images/json"),
    ("GET", "/secrets"),
    ("GET", "/containers/{id}/json/../export"),
    ("GET", "/containers/{id}%2Fexport%3F/json"),
    ("GET", "/info/../images/json"),
    ("GET", "//images/json"),
    ("HEAD", "/info"),
]
ATTACH = ("POST", "/containers/{id}/attach?stream=1&stdout=1&stderr=1")
Start = Callable[..., AbstractContextManager[int]]


def _configured(name: str, directory: Path, engine: Recorder, port: int, *, attach: bool) -> Path:
    """The file that users copy, told where things are here; with `attach`, its lines for that are in force."""
    text = (CONF / name).read_text("utf-8")
    for said, meant in ((SOCKET, engine.host.removeprefix("unix://")), ("2375", f"127.0.0.1:{port}")):
        assert text.count(said) == 1
        text = text.replace(said, meant)
    text = text.replace("bind :", "bind ").replace(" /tmp/", f" {directory}/")
    assert "attach" in text
    if attach:
        text = "\n".join(_in_force(line) for line in text.splitlines()) + "\n"
    file = directory / name
    file.write_text(text, "utf-8")
    return file


def _in_force(line: str) -> str:
    bare = line.lstrip()
    return line.replace("#", "", 1) if bare.startswith("#") and not bare.startswith("# ") else line


@contextlib.contextmanager
def _nginx(directory: Path, engine: Recorder, *, attach: bool = False) -> Iterator[int]:
    port = free_port()
    file = _configured("nginx.conf", directory, engine, port, attach=attach)
    arguments: list[str | Path] = ["nginx", "-p", directory, "-c", file, "-e", "stderr"]
    with running(
        [*arguments, "-g", "daemon off; user root;"],
        log=directory / "log",
        ready=lambda: listening(port),
        env=plain_environment(),
    ):
        yield port


@contextlib.contextmanager
def _haproxy(directory: Path, engine: Recorder, *, attach: bool = False) -> Iterator[int]:
    port = free_port()
    file = _configured("haproxy.cfg", directory, engine, port, attach=attach)
    with running(
        ["haproxy", "-db", "-f", file],
        log=directory / "log",
        ready=lambda: listening(port),
        env=plain_environment(),
    ):
        yield port


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Between the proxy and the Engine: what it has seen, the proxy let through."""
    with (
        tempfile.TemporaryDirectory(prefix="ferry") as directory,
        Recorder(engine.host, Path(directory) / "docker.sock") as recorder,
    ):
        yield recorder


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ferry") as directory:
        yield Path(directory)


@pytest.fixture(params=[_nginx, _haproxy], ids=["nginx", "haproxy"])
def start(request: pytest.FixtureRequest, recorder: Recorder, directory: Path) -> Start:
    """Start the proxy; `attach=True` with its lines for that."""
    return partial(request.param, directory, recorder)


def _status(port: int, method: str, path: str) -> int:
    """What a request is answered with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path)
        return connection.getresponse().status


def _agent(port: int, directory: Path, run: RunContainer, **settings: str) -> Agent:
    sinks = {"file": f"file://{directory}/out.ndjson?batch_age=100ms"}
    return Agent(f"tcp://127.0.0.1:{port}", directory, sinks, include=f"label={run.label}", **settings)


def test_lines_arrive_and_attach_is_done_without(
    start: Start,
    recorder: Recorder,
    run_container: RunContainer,
    engine: Engine,
    tmp_path: Path,
) -> None:
    """A line at once, though the stream goes on; who hangs up is hung up on; what is used is counted."""
    file = tmp_path / "out.ndjson"
    with start() as port:
        agent = _agent(port, tmp_path, run_container, source="attach", stats="1s")
        with agent:
            quiet = run_container(
                "echo one; while [ ! -e /go ]; do usleep 10000; done; echo two; exec sleep 600"
            )
            until(lambda: messages(file) == ["one"], "a line, and no more", told=agent.said)
            quiet.exec_run(["/bin/sh", "-c", "true > /go"])
            until(lambda: messages(file) == ["one", "two"], "the next", told=agent.said)
            until(lambda: _asked(recorder, "stats"), "its use is asked for", told=agent.said)
            assert ("attaching is refused" in agent.said()) == (not engine.podman)
            assert "lost" not in agent.said()
            assert agent.stop() == 0
        assert {record["host"] for record in records(file)} == {engine.client.info()["Name"]}
        assert not _asked(recorder, "attach")
        until(lambda: recorder.connections == 0, "every stream has ended", seconds=20)


def test_whatever_else_is_asked_is_refused(
    start: Start, recorder: Recorder, run_container: RunContainer, tmp_path: Path
) -> None:
    """By the proxy: nothing of it comes to the Engine."""
    container = run_container("exec sleep 600")
    with start() as port:
        assert _status(port, "GET", "/v1.41/containers/json?all=1") == 200
        assert _status(port, "GET", f"/containers/{container.id}/json") == 200
        asked = len(recorder.asked)
        answers = {
            (method, path): _status(port, method, path.replace("{id}", str(container.id)))
            for method, path in [*FORBIDDEN, ATTACH]
        }
        assert {request: status for request, status in answers.items() if status != 403} == {}
        assert recorder.asked[asked:] == []


def test_attach_may_be_allowed_and_nothing_with_it(
    start: Start,
    recorder: Recorder,
    run_container: RunContainer,
    engine: Engine,
    tmp_path: Path,
) -> None:
    """Its lines in force, what has no log is read as well, at any time; standard input stays closed."""
    if engine.podman:
        pytest.skip("Podman's containers are never attached to")
    file = tmp_path / "out.ndjson"
    with start(attach=True) as port:
        agent = _agent(port, tmp_path, run_container)
        with agent:
            container = run_container(
                "while [ ! -e /go ]; do usleep 10000; done; echo logless; exec sleep 600", log_driver="none"
            )
            until(lambda: _asked(recorder, "attach"), "it is attached", told=agent.said)
            container.exec_run(["/bin/sh", "-c", "true > /go"])
            until(lambda: messages(file) == ["logless"], "its line", told=agent.said)
            assert agent.stop() == 0
        asked = len(recorder.asked)
        answers = {
            (method, path): _status(port, method, path.replace("{id}", str(container.id)))
            for method, path in FORBIDDEN
        }
        assert {request: status for request, status in answers.items() if status != 403} == {}
        assert recorder.asked[asked:] == []
        assert recorder.said_more == 0
        until(lambda: recorder.connections == 0, "every stream has ended", seconds=20)


def _asked(recorder: Recorder, what: str) -> bool:
    return any(each.path.endswith(f"/{what}") for each in recorder.asked)
