"""conf/swarm/stack.yaml keeps its promises to whoever reads it; tests/engine/test_swarm.py deploys it."""

from __future__ import annotations

import re

import pytest
import yaml

from agent.options import duration
from agent.settings import Settings
from agent.sinks import parse_sink
from tests.test_conf import CONF, SOCKET, agent_of, service_of

FILE = CONF / "swarm/stack.yaml"


def test_it_configures_the_agent_without_fault() -> None:
    """With the one thing set that nobody can know beforehand. Swarm would fill in {{…}} itself."""
    environment = agent_of(FILE)["environment"]
    [url] = Settings.load(environment).urls.values()
    parse_sink("loki", url, read_file=lambda _: "x")
    assert "{{" not in "".join(map(str, environment.values()))
    with pytest.raises(ValueError, match="DOCKER_GID"):
        service_of(FILE)


def test_each_file_that_a_setting_names_is_a_secret_or_a_config() -> None:
    """Mounted where the sink looks for it; a secret for nobody but the agent."""
    service = agent_of(FILE)
    [url] = Settings.load(service["environment"]).urls.values()
    named = set(re.findall(r"(?:password_file|ca)=([^&]+)", url))
    secrets = {f"/run/secrets/{each['source']}" for each in service["secrets"]}
    assert named == secrets | {each["target"] for each in service["configs"]}
    assert {(each["uid"], each["mode"]) for each in service["secrets"]} == {("65532", 0o400)}
    document = yaml.safe_load(FILE.read_text("utf-8"))
    assert {each["source"] for each in service["secrets"]} == document["secrets"].keys()
    assert {each["source"] for each in service["configs"]} == document["configs"].keys()


def test_it_runs_once_on_each_node_and_never_twice() -> None:
    """Two agents cannot share a state: the old one ends before the new one begins, and has time to."""
    service = agent_of(FILE)
    deploy, settings = service["deploy"], Settings.load(service["environment"])
    assert deploy["mode"] == "global"
    assert deploy["update_config"]["order"] == deploy["rollback_config"]["order"] == "stop-first"
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert duration(service["stop_grace_period"]) > settings.shutdown_grace
    mounts = {target: source for source, target in (each.split(":", 1) for each in service["volumes"])}
    assert mounts[settings.state] in yaml.safe_load(FILE.read_text("utf-8"))["volumes"]
    assert mounts[SOCKET] == SOCKET


def test_it_has_no_more_rights_and_means_than_it_needs() -> None:
    """Nobody in particular, with the socket's group; no capability, nothing published, its health as the image's."""
    service = agent_of(FILE)
    assert service["user"] == "65532:999"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert not {"ports", "privileged", "cap_add", "healthcheck"} & service.keys()
