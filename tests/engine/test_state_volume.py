"""The agent's state on its volume: its container may go at any moment, and the state may move to another volume.

What docs/state.md tells a person to type is what is done here.
"""

from __future__ import annotations

import os
import random
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.models.containers import Container
from docker.models.images import Image

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.engine.image import BUILD_S, STATE, RunAgent, said
from tests.engine.shipping import messages, twice, until

DOCUMENT = Path(__file__).parents[2] / "docs/state.md"
pytestmark = [pytest.mark.engine, pytest.mark.timeout(BUILD_S)]

LINES, CHUNK = 200_000, 2_000
#: For some five seconds, so that the agent is in the middle of it whenever it goes.
WRITE = (
    f'awk \'BEGIN {{ for (i = 1; i <= {LINES}; i++) {{ printf "%06d\\n", i; '
    f'if (i % {CHUNK} == 0) {{ fflush(); system("usleep 50000") }} }} }}\''
)
WANTED = [f"{number:06}" for number in range(1, LINES + 1)]
COPY = f'import shutil; shutil.copytree("/from", "{STATE}", dirs_exist_ok=True)'


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the files are written, on the host: they stay there when the state moves."""
    path = tmp_path / "out"
    path.mkdir()
    path.chmod(0o777)
    return path


class Flow:
    """A container that writes, an agent that comes and goes, and the file it writes to."""

    def __init__(self, run_agent: RunAgent, run_container: RunContainer, out: Path) -> None:
        self._run_agent, self._run_container, self._out = run_agent, run_container, out
        self.file = out / "all.ndjson"
        self._chance = random.Random(7)

    def agent(self, state: str, *urls: str, started: bool = True) -> Container:
        """An agent on that volume; connected, unless it is only to be created."""
        agent = self._run_agent.create(
            *("run", "file:///out/all.ndjson?rotate_bytes=0&batch_age=100ms", *urls),
            environment={
                "DOCKFERRY_INCLUDE": f"label={self._run_container.label}",
                "DOCKFERRY_HTTP": "off",
                "DOCKFERRY_SHUTDOWN_GRACE": "1s",
            },
            out=self._out,
            state=state,
        )
        if started:
            self.start(agent)
        return agent

    def start(self, agent: Container) -> None:
        agent.start()
        until(lambda: "connected to" in said(agent), "the agent is connected", told=lambda: said(agent))

    def write(self) -> Container:
        return self._run_container(WRITE, log_opts={"max-size": "1g"})

    def go_on(self, agent: Container) -> None:
        """Return at some moment of the flow, after more has arrived."""
        before = self._size()
        more = self._chance.randrange(1, LINES // 10) * 100  # a record has more than 100 bytes
        until(lambda: self._size() > before + more, "more lines", told=lambda: said(agent))

    def arrive(self, agent: Container, file: Path | None = None) -> None:
        """Each line came once, and in order."""
        file = file or self.file
        until(
            lambda: file.exists() and WANTED[-1].encode() in _end_of(file),
            "the last line",
            seconds=180,
            told=lambda: said(agent),
        )
        arrived = messages(file)
        assert twice(arrived) == {}
        assert arrived == WANTED
        assert "lost" not in said(agent)

    def is_under_way(self) -> bool:
        return 0 < len(messages(self.file)) < LINES

    def _size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0


def _end_of(file: Path) -> bytes:
    with file.open("rb") as data:
        data.seek(max(0, file.stat().st_size - 1000))
        return data.read()


@pytest.fixture
def flow(run_agent: RunAgent, run_container: RunContainer, out: Path) -> Flow:
    return Flow(run_agent, run_container, out)


@pytest.fixture
def docker(engine: Engine) -> Callable[..., bytes]:
    """`docker …`, with this on its standard input; what it prints."""

    def docker(*arguments: str, given: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": engine.host},
            input=given,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return docker


def test_removed_by_force_in_mid_flow_and_made_anew_on_the_volume_it_loses_and_repeats_nothing(
    flow: Flow, run_agent: RunAgent
) -> None:
    """Three times `docker rm -f`, at moments of chance; the container goes, the volume stays."""
    state = run_agent.new_volume()
    agent = flow.agent(state)
    flow.write()
    for _ in range(3):
        flow.go_on(agent)
        agent.remove(force=True)
        assert flow.is_under_way()
        agent = flow.agent(state)
    flow.arrive(agent)


def test_what_only_the_state_has_outlives_the_agent_s_container(
    flow: Flow, run_agent: RunAgent, out: Path
) -> None:
    """The writer is gone with its log, a sink has had nothing yet: the new agent delivers it from the volume."""
    state = run_agent.new_volume()
    closed = out / "closed"
    closed.mkdir(mode=0o755)  # root's: the sink waits until this is mended
    agent = flow.agent(state, "file:///out/closed/all.ndjson?rotate_bytes=0")
    writer = flow.write()
    flow.arrive(agent)
    agent.remove(force=True)
    writer.remove(force=True)
    closed.chmod(0o777)
    agent = flow.agent(state, "file:///out/closed/all.ndjson?rotate_bytes=0")
    flow.arrive(agent, closed / "all.ndjson")
    flow.arrive(agent)


def test_moved_to_another_volume_it_goes_on_where_it_was(
    flow: Flow, run_agent: RunAgent, image: Image, docker: Callable[..., bytes]
) -> None:
    """Removed by force in mid-flow, its volume copied by the image's own Python, as the agent's user."""
    old, new = run_agent.new_volume(), run_agent.new_volume()
    agent = flow.agent(old)
    flow.write()
    flow.go_on(agent)
    agent.remove(force=True)
    assert flow.is_under_way()
    mounts = ["-v", f"{old}:/from:ro", "-v", f"{new}:{STATE}"]
    docker("run", "--rm", "--network", "none", *mounts, "--entrypoint", "python", image.tags[0], "-c", COPY)
    assert f"-c '{COPY}'" in DOCUMENT.read_text("utf-8")
    flow.arrive(flow.agent(new))


def test_from_a_backup_it_goes_on_where_it_was(
    flow: Flow, run_agent: RunAgent, docker: Callable[..., bytes], tmp_path: Path
) -> None:
    """Stopped, copied out as a tar by `docker cp`, and into the volume of an agent that has not been started."""
    agent = flow.agent(run_agent.new_volume())
    flow.write()
    flow.go_on(agent)
    docker("stop", "--time", "30", agent.id or "")
    assert flow.is_under_way()
    backup = docker("cp", f"{agent.id}:{STATE}/.", "-")
    agent.remove(force=True)
    (tmp_path / "state.tar").write_bytes(backup)
    with tarfile.open(tmp_path / "state.tar") as tar:
        assert {each.uid for each in tar} == {65532}
        assert [each.name for each in tar if each.mode & 0o077] == []
    agent = flow.agent(run_agent.new_volume(), started=False)
    docker("cp", "-", f"{agent.id}:{STATE}", given=backup)
    flow.start(agent)
    flow.arrive(agent)
