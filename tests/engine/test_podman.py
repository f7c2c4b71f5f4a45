"""What Podman does otherwise than Docker, and what the agent makes of it. Skipped on Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.containers import RunContainer, fleeting
from tests.engine.dockerd import Engine
from tests.engine.shipping import Agent, messages, twice, unread, until

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def on_podman(engine: Engine) -> None:
    if not engine.podman:
        pytest.skip("Docker does not do so")


def _file(directory: Path) -> tuple[Path, str]:
    path = directory / "out" / "all.ndjson"
    return path, f"file://{path}?batch_age=100ms&rotate_bytes=0"


def test_of_containers_removed_before_podman_told_of_them_a_loss_is_told(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """What came, came once; of each container of which something is missing it is said."""
    path, url = _file(tmp_path)
    with Agent(engine.host, tmp_path, {"file": url}, include=f"label={run_container.label}") as agent:
        made = [run_container(fleeting(number), auto_remove=True) for number in range(20)]
        run_container("echo heard")
        until(lambda: "heard" in messages(path), "a later container is read", told=agent.said)
        until(
            lambda: unread(made, path) <= agent.lost("container_removed"),
            "each loss is told",
            told=agent.said,
        )
        assert agent.stop() == 0
    assert not twice(messages(path))
    assert unread(made, path), "nothing was removed too early: then this test shows nothing"
    assert agent.lost("container_removed") <= {container.name for container in made}


def test_a_container_between_two_runs_is_not_attached_to(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Podman would make it ready to start, and never start it: it goes on, and is read by its log."""
    path, url = _file(tmp_path)
    include = f"label={run_container.label}"
    with Agent(engine.host, tmp_path, {"file": url}, include=include, source="attach") as agent:
        container = run_container("echo run; exit 1", restart_policy={"Name": "always"})
        until(lambda: len(messages(path)) >= 6, "six runs", told=agent.said)
        container.stop(timeout=0)
    assert f"container {container.name} is read by its log" in agent.said()


def test_lines_written_while_the_log_is_read_come_whole_and_once(
    engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """A follow of Podman's hands out half lines here, and skips whole ones (seen on 5.4)."""
    path, url = _file(tmp_path)
    thirty_thousand = "awk -v n=$n 'BEGIN { for (i = 0; i < 30000; i++) print n * 100000 + i }'"
    script = f"for n in 1 2 3; do {thirty_thousand}; sleep 1; done"
    with Agent(engine.host, tmp_path, {"file": url}, include=f"label={run_container.label}") as agent:
        run_container(script)
        until(lambda: "329999" in messages(path), "the last line", told=agent.said)
    assert messages(path) == [str(n * 100_000 + i) for n in (1, 2, 3) for i in range(30_000)]
    assert "lost" not in agent.said()
