"""conf/grafana/dockferry.json, taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "conf/grafana/dockferry.json"
#: What Grafana puts in the place of its variables when everything is chosen.
CHOSEN = {"job": "dockferry", "instance": ".*", "sink": ".*", "container": ".*", "__rate_interval": "10s"}
_METRIC = re.compile(r"\b(?:dockferry|container)_\w+(?=\{)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def load() -> dict[str, Any]:
    """The dashboard. Raises ValueError."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """All panels, rows too."""
    found: list[dict[str, Any]] = load()["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Each panel's title, and each of its expressions."""
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def filled(expression: str) -> str:
    """As Grafana sends it. Raises KeyError for a variable that there is not."""
    return _VARIABLE.sub(lambda match: CHOSEN[match[1] or match[2]], expression)


def metrics_of(expression: str) -> set[str]:
    """The metrics it asks for."""
    return set(_METRIC.findall(expression))
