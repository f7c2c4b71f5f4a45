"""What other tests rely on when they kill and restart an Engine."""

import socket
from pathlib import Path

import pytest

from tests.engine.containers import numbered_lines
from tests.engine.dockerd import Engine, NoEngineError, PrivateEngine

pytestmark = pytest.mark.engine

_COUNT_UNTIL_TOLD = "trap 'told=1' USR1; until [ $told ]; do echo $((i += 1)); usleep 20000; done"


def test_the_shared_engine_is_known_by_its_version(engine: Engine) -> None:
    """As numbers, so that a test can say since when something holds."""
    assert ((4,) if engine.podman else (17, 12)) < engine.version < (100,)
    assert engine.client.ping()


def test_a_restarted_engine_has_its_containers_logs(private_engine: PrivateEngine) -> None:
    """And without live-restore has ended what ran, unless it is Podman, whose containers outlive it."""
    ended = private_engine.run_container(numbered_lines(3))
    ended.wait(timeout=30)
    running = private_engine.run_container("echo here; sleep 1000")
    private_engine.restart()
    assert ended.logs() == b"000001\n000002\n000003\n"
    running.reload()
    assert running.status == ("running" if private_engine.podman else "exited")


def test_a_killed_engine_answers_again_once_started(private_engine: PrivateEngine) -> None:
    """In between it refuses connections."""
    container = private_engine.run_container(numbered_lines(3))
    container.wait(timeout=30)
    private_engine.kill()
    with socket.socket(socket.AF_UNIX) as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(private_engine.host.removeprefix("unix://"))
    private_engine.start()
    assert container.logs() == b"000001\n000002\n000003\n"


@pytest.mark.parametrize("private_engine", [["--live-restore"]], indirect=True)
def test_with_live_restore_a_container_outlives_its_engine(private_engine: PrivateEngine) -> None:
    """And its log goes on where it was, after a kill as after a restart."""
    container = private_engine.run_container(_COUNT_UNTIL_TOLD)
    private_engine.kill()
    private_engine.start()
    in_between = len(container.logs().split())
    private_engine.restart()
    container.kill("SIGUSR1")
    assert container.wait(timeout=30)["StatusCode"] == 0
    numbers = [int(line) for line in container.logs().split()]
    assert len(numbers) > in_between
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("private_engine", [["--live-restore"]], indirect=True)
@pytest.mark.parametrize("killed", [False, True])
def test_a_stopped_engine_leaves_only_its_log(private_engine: PrivateEngine, *, killed: bool) -> None:
    """No process, no mount, no data, whatever ran when it ended."""
    private_engine.run_container("sleep 1000")
    if killed:
        private_engine.kill()
    private_engine.stop()
    directory = private_engine.directory
    assert [path.name for path in directory.iterdir()] == ["dockerd.log"]
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()
    assert not _processes_that_name(directory)


def test_a_private_engine_leaves_the_network_alone(private_engine: PrivateEngine) -> None:
    """Told to have no bridge, dockerd deletes any docker0 it sees: it must not see the machine's."""
    pid = (private_engine.directory / "docker.pid").read_text()
    assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


def test_an_engine_that_cannot_start_says_why(private_engine: PrivateEngine, tmp_path: Path) -> None:
    """In dockerd's own words, where another one could start."""
    with pytest.raises(NoEngineError, match="unknown flag: --no-such-flag"):
        PrivateEngine(tmp_path, "--no-such-flag").start()


def _processes_that_name(path: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if str(path) in command:
            found.append(command)
    return found
