"""The agent asks the Engine for what docs/operations.md says, and for nothing else, its whole life long."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.recorded import Asked, Recorder
from tests.engine.shipping import Agent, messages, until

pytestmark = pytest.mark.engine
DOCUMENT = Path(__file__).parents[2] / "docs/operations.md"
ROW = re.compile(r"^\| `(/\S+)` \| (.*?) \| (.*?) ?\|$", re.MULTILINE)


def documented() -> dict[tuple[str, str], set[str]]:
    """The parameters of each method and path in the table that users make their proxy's rules from."""
    table = DOCUMENT.read_text("utf-8").partition("| request | why | parameters |")[2].partition("\n\n")[0]
    return {
        ("POST" if why.startswith("a POST") else "GET", path): set(re.findall(r"`(\S+?)`", parameters))
        for path, why, parameters in ROW.findall(table)
    }


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Before the shared Engine, on a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ferry") as directory:
        with Recorder(engine.host, Path(directory) / "docker.sock") as recorder:
            yield recorder
        assert recorder.faults == []


def _run(agent: Agent, *arguments: str) -> str:
    """What another command says, with the agent's settings."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        env=agent.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_table_is_read() -> None:
    """An empty one would allow nothing, a wrong one all."""
    table = documented()
    assert len(table) == 9
    assert [path for method, path in table if method == "POST"] == ["/containers/{id}/attach"]
    assert table["GET", "/containers/json"] == {"all"}


def test_a_whole_life_asks_for_no_more_than_is_documented(
    engine: Engine, recorder: Recorder, run_container: RunContainer, tmp_path: Path
) -> None:
    """Every source, containers that come, change and go, an Engine that goes away, every command that asks it."""
    file = tmp_path / "out.ndjson"
    sinks = {"file": f"file://{file}?batch_age=100ms&rotate_bytes=0"}
    settings = {"include": f"label={run_container.label}", "stats": "1s", "backlog": "all"}
    early = run_container("i=0; while :; do echo early $((i += 1)); usleep 200000; done")
    agent = Agent(recorder.host, tmp_path, sinks, source="logs", **settings)
    _run(agent, "check")
    assert "early 1" in _run(agent, "try", "--container", str(early.name))

    def says(text: str) -> None:
        until(lambda: text in messages(file), text, told=agent.said)

    def asks(path: str) -> None:
        seen = len(recorder.asked)
        until(lambda: any(each.path == path for each in recorder.asked[seen:]), path, told=agent.said)

    with agent:
        says("early 2")
        asks("/containers/{id}/stats")
        early.rename(f"{early.name}-renamed")
        run_container("echo first")
        says("first")
        recorder.go_away()
        run_container("echo unheard")
        until(lambda: "waiting for the Engine" in agent.said(), "it has noticed", told=agent.said)
        recorder.come_back()
        says("unheard")
        agent.kill()
        agent.environ["DOCKFERRY_SOURCE"] = "attach"  # refused by nobody: joined to the log, and attached to
        agent.start()
        late = run_container("echo late; exec sleep 600")
        says("late")
        late.restart(timeout=0)
        until(lambda: messages(file).count("late") == 2, "late, again", told=agent.said)
        late.remove(force=True)
        assert agent.stop() == 0
        agent.environ["DOCKFERRY_SOURCE"] = "auto"
        agent.start()
        run_container("usleep 300000; echo logless; exec sleep 600", log_driver="none")
        run_container("echo last")
        says("last")
        if not engine.podman:
            says("logless")
        assert agent.stop() == 0

    assert recorder.said_more == 0
    _judge(set(recorder.asked), attaches=not engine.podman)


def _judge(asked: set[Asked], *, attaches: bool) -> None:
    """Nothing is asked that is not documented, and all is that is: but what only the other Engine is asked."""
    table = documented()
    assert [each for each in sorted(asked) if not _allowed(each, table)] == []
    never = set(table) - {(each.method, each.path) for each in asked}
    assert never == (set() if attaches else {("POST", "/containers/{id}/attach")}), (
        "documented, but never asked"
    )
    if attaches:
        used = {(each.method, each.path, name) for each in asked for name in each.parameters}
        unused = {(*each, name) for each, names in table.items() for name in names} - used
        assert unused == {("GET", "/containers/{id}/logs", "until")}, "documented, but never used"  # Podman's


def _allowed(asked: Asked, table: dict[tuple[str, str], set[str]]) -> bool:
    parameters = table.get((asked.method, asked.path))
    return parameters is not None and set(asked.parameters) <= parameters


def test_a_request_that_is_not_documented_is_noticed(recorder: Recorder) -> None:
    """Another client asks for images through the same recorder; and what else would be forbidden."""
    client = docker.DockerClient(base_url=recorder.host)
    with contextlib.closing(client):
        client.api.images(all=True)
    table = documented()
    assert [each for each in recorder.asked if not _allowed(each, table)] == [
        Asked("GET", "/images/json", ("all", "only_ids"))
    ]
    for forbidden in (
        Asked("GET", "/containers/{id}/logs", ("details",)),
        Asked("GET", "/containers/{id}/top"),
        Asked("POST", "/containers/json"),
        Asked("POST", "/containers/{id}/attach", ("stdin", "stream")),
    ):
        assert not _allowed(forbidden, table)
