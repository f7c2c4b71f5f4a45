"""The constants of a container's records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.labels import LabelOptions
from agent.pipeline.describe import describe
from agent.selectors import SELECTORS
from agent.settings import Settings
from agent.tag import Tag

WEB = ContainerFacts(
    id="ab" * 32,
    name="web-1",
    image="nginx",
    image_id="sha256:1",
    labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "x.a": "1", "y": "2"},
    env={"TIER": "front", "SECRET": "s"},
)
SELECTS = {"loki": SELECTORS.parse("web-*"), "file": (), "db": SELECTORS.parse("db-*")}


def test_only_what_is_asked_for_goes_along() -> None:
    """Labels and variables by glob, none by default."""
    asked = Settings.load(
        {"DOCKFERRY_LABELS": "x.*", "DOCKFERRY_ENV": "TIER,tier", "DOCKFERRY_TAG": "t-{{.Name}}"}
    )
    container = describe(WEB, LabelOptions(), asked, host="node", selects={})
    assert (container.labels, container.env) == ({"x.a": "1"}, {"TIER": "front"})
    assert (container.tag, container.host, container.project, container.service) == (
        "t-web-1",
        "node",
        "shop",
        "web",
    )
    plain = describe(WEB, LabelOptions(tag=Tag.parse("own")), Settings.load({}), host="node", selects={})
    assert (plain.labels, plain.env, plain.tag, plain.sinks) == ({}, {}, "own", None)


@pytest.mark.parametrize(
    ("wanted", "sinks"),
    [
        (None, ("loki", "file")),
        (("file", "db", "other"), ("file",)),
        ((), ()),
        (("lokki", "\x1b[2J"), ("loki", "file")),  # no reason to lose its logs
    ],
)
def test_a_sink_gets_it_if_both_sides_want(
    wanted: tuple[str, ...] | None, sinks: tuple[str, ...] | None
) -> None:
    """The container's label, and the sink's `select`."""
    assert (
        describe(WEB, LabelOptions(sinks=wanted), Settings.load({}), host="h", selects=SELECTS).sinks == sinks
    )


def test_all_sinks_is_none() -> None:
    """So that a sink added later gets it too."""
    selects = {"loki": SELECTS["loki"], "file": SELECTS["file"]}
    assert describe(WEB, LabelOptions(), Settings.load({}), host="h", selects=selects).sinks is None


SWARM = {
    "com.docker.stack.namespace": "shop",
    "com.docker.swarm.node.id": "n1",
    "com.docker.swarm.service.id": "s1",
    "com.docker.swarm.service.name": "shop_web",
    "com.docker.swarm.task": "",
    "com.docker.swarm.task.id": "t1",
    "com.docker.swarm.task.name": "shop_web.1.t1",
}
POD = {
    "io.kubernetes.container.name": "web",
    "io.kubernetes.docker.type": "container",
    "io.kubernetes.pod.name": "web-6d4cf56db6-x2x7p",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.uid": "4c2f",
    "io.kubernetes.sandbox.id": "ff" * 32,
}


def described(labels: dict[str, str], **environ: str) -> Container:
    """The container with these labels, under these settings."""
    settings = Settings.load({f"DOCKFERRY_{name}": text for name, text in environ.items()})
    return describe(replace(WEB, labels=labels), LabelOptions(), settings, host="node", selects={})


def test_what_an_orchestrator_says_is_there_without_being_asked_for() -> None:
    """By names of our own; nothing is twice."""
    task = described(SWARM)
    assert (task.project, task.service) == ("shop", "shop_web")
    assert task.swarm == {"service_id": "s1", "task": "shop_web.1.t1", "task_id": "t1", "node_id": "n1"}
    assert task.kubernetes == {}
    pod = described(POD)
    assert pod.kubernetes == {
        "namespace": "shop",
        "pod": "web-6d4cf56db6-x2x7p",
        "pod_uid": "4c2f",
        "container": "web",
    }
    assert (pod.swarm, pod.project, pod.service) == ({}, None, None)


def test_what_a_container_says_of_itself_has_a_length() -> None:
    """Each of its records carries it."""
    long = "x" * 1_000_000
    labels = dict.fromkeys([*SWARM, *POD], long) | {f"l{n}": "" for n in range(10_000)} | {long: "y"}
    container = described(labels, LABELS="*", TAG='{{index .Labels "io.kubernetes.pod.uid"}}')
    assert len(container.to_json()) < 100_000
    assert container.service == "x" * 254 + "…"
    assert container.tag == "x" * 1023 + "…"
    assert container.labels["io.kubernetes.pod.uid"] == "x" * 4095 + "…"
