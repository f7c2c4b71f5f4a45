"""Filebeat's hints, as labels of ours."""

from __future__ import annotations

import pytest

from agent.compat import Peers
from agent.compat.translation import Translation
from agent.engine.containers import ContainerFacts
from agent.labels import read_labels

FILEBEAT = Peers.parse("filebeat")


def translated(hints: dict[str, str], **labels: str) -> Translation:
    """What comes of these hints, and of other labels."""
    own = {f"co.elastic.logs/{name}": text for name, text in hints.items()}
    return FILEBEAT.translate(ContainerFacts(id="a", name="web", labels={**own, **labels}))


@pytest.mark.parametrize(
    ("hints", "labels"),
    [
        ({"enabled": "false"}, {"enable": "false"}),
        ({"enabled": "true"}, {"enable": "true"}),
        ({"disable": "true"}, {"enable": "false"}),
        ({"multiline.pattern": r"^\["}, {"multiline": r"continue=^\["}),
        (
            {"multiline.pattern": r"^\[", "multiline.negate": "true", "multiline.match": "after"},
            {"multiline": r"start=^\["},
        ),
        (
            {"multiline.pattern": ";$", "multiline.negate": "true", "multiline.match": "before"},
            {"multiline": r"end=\x3b$"},
        ),
        (
            {"multiline.pattern": "^a", "multiline.timeout": "1m30s", "multiline.max_lines": "50"},
            {"multiline": "continue=^a;timeout=1m;max_lines=50"},
        ),
        (
            {"multiline.pattern": "^a", "multiline.negate": "true", "multiline.flush_pattern": "End"},
            {"multiline": "start=^a;end=End"},
        ),
        ({"json.add_error_key": "true"}, {"parse": "json"}),
        ({"json.message_key": "log", "json.overwrite_keys": "true"}, {"parse": "json;message=log"}),
        ({"exclude_lines": "^DBG, level<3"}, {"drop": "(?:^DBG);(?:level<3)"}),
        ({"include_lines": "^ERR,^WARN"}, {"keep": "(?:^ERR);(?:^WARN)"}),
    ],
)
def test_a_hint_is_a_label(hints: dict[str, str], labels: dict[str, str]) -> None:
    """And nothing is left to be said."""
    found = translated(hints)
    assert found.labels == labels
    assert found.problems == []
    assert read_labels({}, container_name="web", translated=found)[1] == []


@pytest.mark.parametrize(
    ("hints", "problem"),
    [
        ({"enabled": "yes"}, "label co.elastic.logs/enabled is not true or false"),
        ({"module": "nginx"}, "label co.elastic.logs/module has no counterpart"),
        ({"1.multiline.pattern": "^a"}, "label co.elastic.logs/1.multiline.pattern has no counterpart"),
        ({"multiline.type": "count"}, "label co.elastic.logs/multiline.type has no counterpart"),
        ({"multiline.pattern": "a", "multiline.match": "before"}, "multiline.pattern is not a pattern with"),
        (
            {"multiline.pattern": "a", "multiline.flush_pattern": "x"},
            "multiline.flush_pattern has no counter",
        ),
        ({"multiline.pattern": "a", "multiline.timeout": "5"}, "multiline.pattern is not a duration"),
        (
            {"json.keys_under_root": "true"},
            "json.keys_under_root has no counterpart: what is parsed is below",
        ),
    ],
)
def test_what_has_no_counterpart_is_said(hints: dict[str, str], problem: str) -> None:
    """With the name of the label."""
    [said] = translated(hints).problems
    assert problem in said


def test_in_a_pod_the_containers_own_hints_come_first() -> None:
    """`co.elastic.logs.<container>/…`; those for other containers of the pod are none of ours."""
    labels = {
        "io.kubernetes.container.name": "web",
        "co.elastic.logs.web/exclude_lines": "own",
        "co.elastic.logs.db/multiline.pattern": "x",
    }
    assert translated({"exclude_lines": "all"}, **labels).labels == {"drop": "(?:own)"}
    assert translated({}, **{"co.elastic.logs.None/exclude_lines": "x"}).labels == {}
