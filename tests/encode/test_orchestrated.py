"""A Swarm task and a Kubernetes pod, by the names that each format's readers know them by."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from agent.batch import Batch, Container, Stream
from agent.encode import datadog, elasticsearch, forward, gcplogs, gelf, journal, otlp, syslog
from agent.encode.orchestrated import named

TASK = {"service_id": "x3ti", "task": "shop_web.1.kq4z", "task_id": "kq4z", "node_id": "d68a"}
POD = {"namespace": "shop", "pod": "web-x2x7p", "pod_uid": "4c2f", "container": "web"}
FLAT = {f"swarm_{name}": value for name, value in TASK.items()} | {
    f"kubernetes_{name}": value for name, value in POD.items()
}


def sent(**more: Any) -> Batch:  # noqa: ANN401 - any field of a Container
    container = Container("ab" * 32, "web", "nginx", tag="web", host="node", service="shop_web", **more)
    return Batch(container, Stream.STDOUT, [1_795_414_426_489_633_114], [b"hello"])


BOTH, NEITHER = sent(swarm=TASK, kubernetes=POD), sent()


def test_names_without_a_structure() -> None:
    """Of what is known; none where there is no orchestrator."""
    assert named(BOTH.container) == FLAT
    assert named(NEITHER.container) == {}


def test_gelf() -> None:
    found, plain = (json.loads(gelf.messages(batch)[0]) for batch in (BOTH, NEITHER))
    assert {name: found[name] for name in found.keys() - plain.keys()} == {
        f"_{name}": value for name, value in FLAT.items()
    }


def test_syslog() -> None:
    [message] = syslog.messages(BOTH, syslog.Style())
    assert all(f' {name}="{value}"'.encode() in message for name, value in FLAT.items())
    assert b"swarm" not in syslog.messages(NEITHER, syslog.Style())[0]


def test_fluentd() -> None:
    [_, found], [_, plain] = (msgpack.unpackb(forward.entries(batch)) for batch in (BOTH, NEITHER))
    assert {name: found[name] for name in found.keys() - plain.keys()} == FLAT


def test_journald() -> None:
    [found], [plain] = (journal.entries(batch, full_id=False) for batch in (BOTH, NEITHER))
    assert {line for line in found.split(b"\n") if line not in plain.split(b"\n")} == {
        f"CONTAINER_{name.upper()}={value}".encode() for name, value in FLAT.items()
    }


def test_google() -> None:
    found, plain = (json.loads(gcplogs.entries(batch, {}))["jsonPayload"] for batch in (BOTH, NEITHER))
    assert {name: found[name] for name in found.keys() - plain.keys()} == {"swarm": TASK, "kubernetes": POD}


def test_opentelemetry() -> None:
    """By the semantic conventions, which have no names for Swarm."""
    found, plain = (otlp.resource(batch.container, ()) for batch in (BOTH, NEITHER))
    assert {name: found[name] for name in found.keys() - plain.keys()} == {
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "web-x2x7p",
        "k8s.pod.uid": "4c2f",
        "k8s.container.name": "web",
        "docker.swarm.service.id": "x3ti",
        "docker.swarm.task.name": "shop_web.1.kq4z",
        "docker.swarm.task.id": "kq4z",
        "docker.swarm.node.id": "d68a",
    }


def test_elasticsearch() -> None:
    """A task by the common schema, a pod as Beats have it."""
    found, plain = (
        json.loads(elasticsearch.bulk([batch], elasticsearch.Action()).splitlines()[1])
        for batch in (BOTH, NEITHER)
    )
    assert {name: found[name] for name in found.keys() - plain.keys()} == {
        "orchestrator": {"type": "swarm", "resource": {"type": "task", "name": TASK["task"], "id": "kq4z"}},
        "kubernetes": {
            "namespace": "shop",
            "pod": {"name": "web-x2x7p", "uid": "4c2f"},
            "container": {"name": "web"},
        },
    }
    assert found["service"] == {"name": "shop_web", "id": "x3ti"}
    assert plain["service"] == {"name": "shop_web"}


def test_datadog() -> None:
    """By the tags of its Agent."""
    found, plain = (
        set(json.loads(datadog.logs([batch], datadog.Naming()))[0]["ddtags"].split(","))
        for batch in (BOTH, NEITHER)
    )
    assert found - plain == {
        "swarm_service:shop_web",
        "kube_namespace:shop",
        "pod_name:web-x2x7p",
        "kube_container_name:web",
    }


@pytest.mark.parametrize("hostile", ['a"b', "a\nb", "a]b", "a\\", "\x00", "é,ü"])
def test_whatever_it_is_called_a_message_stays_whole(hostile: str) -> None:
    """Labels are anybody's text."""
    batch = sent(swarm={"task": hostile}, kubernetes={"pod": hostile})
    assert json.loads(gelf.messages(batch)[0])["_swarm_task"] == hostile
    assert len(journal.entries(batch, full_id=False)) == 1
    assert json.loads(gcplogs.entries(batch, {}))["jsonPayload"]["kubernetes"] == {"pod": hostile}
    assert (
        f"pod_name:{hostile.replace(',', '_')}"
        in json.loads(datadog.logs([batch], datadog.Naming()))[0]["ddtags"]
    )
