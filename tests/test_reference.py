"""docs/reference.md: what the code says of itself, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent.losses import Cause
from agent.metrics import Metrics
from agent.options import declared
from agent.reference import own_options, reference, tls_options
from agent.settings import Settings
from agent.sinks import schemes
from agent.sinks.base import SinkOptions

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"


def test_the_page_says_what_the_code_says() -> None:
    """`make docs` was run after the last change of a declaration."""
    assert PAGE.read_text("utf-8") == reference()


def test_the_module_prints_the_page() -> None:
    """What `make docs` writes; in another process, with another order of hashes."""
    command = [sys.executable, "-m", "agent.reference"]
    printed = subprocess.run(command, capture_output=True, check=True, cwd=PAGE.parent.parent, timeout=60)
    assert printed.stdout.decode() == reference()


def test_nothing_that_can_be_set_or_seen_is_missing() -> None:
    """Every variable, scheme, option, metric and cause has its line."""
    page = reference()
    names = [f"DOCKFERRY_{entry.name.upper()}" for entry in declared(Settings)]
    names += [entry.name for entry in [*declared(SinkOptions), *tls_options()]]
    for scheme in schemes():
        names += [scheme.name, *(entry.name for entry in own_options(scheme.options))]
    names += [metric.name for metric in Metrics().declared]
    names += [cause.value for cause in Cause]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_declared_metrics_are_those_that_are_served() -> None:
    """Under the very names that Prometheus sees."""
    metrics = Metrics()
    served = {
        family.name + ("_total" if family.type == "counter" else "") for family in metrics.registry.collect()
    }
    assert served == {metric.name for metric in metrics.declared}


def test_every_row_of_a_table_has_as_many_cells() -> None:
    """A `|` in a value or a sentence does not break its table."""
    width = 0
    for line in reference().splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("|"):
            assert cells == (width or cells), line
            width = cells
        else:
            width = 0
