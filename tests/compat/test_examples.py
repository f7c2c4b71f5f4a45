"""What users copy from conf/moving/ is understood, without a word to be said about it."""

from __future__ import annotations

import pytest

from agent.engine.containers import ContainerFacts
from agent.labels import read_labels
from agent.settings import Settings
from agent.sinks import parse_sink
from tests.test_conf import CONF, SOCKET, service_of

FILES = sorted((CONF / "moving").glob("*.compose.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_an_example_configures_the_agent_without_fault(path: str) -> None:
    """Its sinks can be made, and its state is on a volume."""
    service = service_of(CONF / "moving" / path, DOCKER_GID="999")
    settings = Settings.load(service["environment"], accept=parse_sink)
    assert settings.notes == ()
    assert service["volumes"] == [f"{SOCKET}:{SOCKET}", f"state:{settings.state}"]


def test_both_routes_of_the_example_for_logspout_are_there() -> None:
    """By the names under which they are shown."""
    environ = service_of(CONF / "moving/logspout.compose.yaml", DOCKER_GID="999")["environment"]
    assert list(Settings.load(environ).urls) == ["syslog", "tcp"]


@pytest.mark.parametrize(("name", "said"), [("java", {"multiline", "drop"}), ("shop", {"redact"})])
def test_the_labels_shown_are_understood(name: str, said: set[str]) -> None:
    """As labels of ours, without a problem."""
    path = CONF / "moving/hints.compose.yaml"
    compat = Settings.load(service_of(path, DOCKER_GID="999")["environment"]).compat
    facts = ContainerFacts(id="a", name=name, labels=service_of(path, name)["labels"])
    found = compat.translate(facts)
    assert set(found.labels) == said
    assert read_labels(facts.labels, container_name=name, translated=found)[1] == []
