"""What other tests rely on when they run containers."""

import pytest

from tests.engine.containers import RunContainer, numbered_lines
from tests.engine.dockerd import Engine

pytestmark = pytest.mark.engine


def test_what_a_container_prints_is_in_its_log(run_container: RunContainer) -> None:
    """Both streams, told apart."""
    container = run_container(f"{numbered_lines(3, width=2)}; echo oops >&2")
    container.wait(timeout=30)
    assert container.logs(stdout=True, stderr=False) == b"01\n02\n03\n"
    assert container.logs(stdout=False, stderr=True) == b"oops\n"


def test_a_container_has_the_log_driver_it_was_given(engine: Engine, run_container: RunContainer) -> None:
    """With its options, whatever the daemon's own are. Podman has no such driver, and does not tell options."""
    driver, options = ("none", None) if engine.podman else ("local", {"max-size": "1m"})
    container = run_container.create("true", log_driver=driver, log_opts=options)
    assert container.attrs["HostConfig"]["LogConfig"] == {"Type": driver, "Config": options}


def test_containers_are_gone_when_the_test_is(engine: Engine) -> None:
    """Created, running, ended, or removing themselves; those of other tests stay."""
    with RunContainer(engine.client) as other, RunContainer(engine.client) as run:
        bystander = other.create("true")
        run.create("true")
        run("sleep 1000")
        run("true").wait(timeout=30)
        run("sleep 1000", auto_remove=True, labels={"colour": "red"})
        assert len(_labelled(engine, run)) == 4
        run.__exit__(None, None, None)
        assert _labelled(engine, run) == []
        assert _labelled(engine, other) == [bystander.id]
    assert _labelled(engine, other) == []


def _labelled(engine: Engine, run: RunContainer) -> list[str | None]:
    return [c.id for c in engine.client.containers.list(all=True, filters={"label": run.label}, sparse=True)]
