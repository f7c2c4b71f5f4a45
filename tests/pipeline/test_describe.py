"""The constants of a container's records."""

from __future__ import annotations

import pytest

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
    ("wanted", "sinks"), [(None, ("loki", "file")), (("file", "db", "other"), ("file",)), ((), ())]
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
