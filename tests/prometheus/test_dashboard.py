"""The dashboard in conf/grafana/, without Grafana; `test_scrape.py` asks Prometheus each of its questions."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

from agent.metrics import Declared, Metrics
from agent.stats.families import OF_RUNS, OF_SAMPLES
from tests.prometheus.dashboard import CHOSEN, expressions, filled, load, metrics_of, panels

#: `_bucket` is what a scrape shows of a histogram.
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


def declared() -> dict[str, Declared]:
    return {metric.name: metric for metric in Metrics().declared}


def test_every_question_is_about_a_metric_that_there_is() -> None:
    """By its name in a scrape."""
    known = declared().keys() | {family.name for family in (*OF_SAMPLES, *OF_RUNS)}
    for title, expression in expressions():
        asked = metrics_of(expression)
        assert asked, title
        assert {_SUFFIX.sub("", name) for name in asked} <= known, title


def test_every_selector_is_by_a_label_that_the_metric_has() -> None:
    """Else it selects nothing, and the panel is empty for ever."""
    ours = declared()
    for title, expression in expressions():
        for name, selector in re.findall(r"\b((?:dockferry|container)_\w+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)=~?", selector)) - {"job", "instance"}
            metric = ours.get(_SUFFIX.sub("", name))
            assert labels <= set(metric.labels if metric else ("id", "name", "image")), (title, name)


def test_every_variable_is_declared() -> None:
    """Those of Grafana itself besides."""
    names = {variable["name"] for variable in load()["templating"]["list"]}
    assert names == CHOSEN.keys() - {"__rate_interval"} | {"datasource"}
    for _, expression in expressions():
        assert "$" not in filled(expression)


def test_every_panel_can_be_told_and_has_a_place_of_its_own() -> None:
    """Unique ids, titles; no two overlap, none is wider than the grid."""
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    assert all(panel["title"] for panel in found)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in found)
    assert not [
        (one["title"], other["title"]) for one, other in combinations(found, 2) if overlap(one, other)
    ]


def test_no_panel_is_bound_to_one_installation() -> None:
    """The data source is a variable."""
    for panel in panels():
        assert panel.get("datasource", {}).get("uid") == ("${datasource}" if panel["type"] != "row" else None)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    return all(a[p] < b[p] + b[size] and b[p] < a[p] + a[size] for p, size in (("x", "w"), ("y", "h")))
