"""docs/reference.md and the options in docs/sinks/: what the code says of itself, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.losses import Cause
from agent.metrics import PREFIX, Metrics
from agent.options import declared
from agent.reference import filled, own_options, reference, tls_options
from agent.settings import Settings
from agent.sinks import schemes
from agent.sinks.base import SinkOptions
from agent.stats.exposition import Exposition

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "reference.md"
SINK_PAGES = sorted((DOCS / "sinks").glob("*.md"))


def test_the_page_says_what_the_code_says() -> None:
    """`make docs` was run after the last change of a declaration."""
    assert PAGE.read_text("utf-8") == reference()


@pytest.mark.parametrize("path", SINK_PAGES, ids=lambda path: path.stem)
def test_a_sink_s_page_says_what_the_code_says(path: Path) -> None:
    """Its table of options, that is; `make docs` changes nothing else of it."""
    page = path.read_text("utf-8")
    assert page == filled(page)


def test_every_sink_s_options_stand_on_one_page() -> None:
    """By one of its schemes; the page has the name that the reference links to."""
    pages = "".join(path.read_text("utf-8") for path in SINK_PAGES)
    kinds = {scheme.name: scheme.sink.__name__ for scheme in schemes()}
    marked = [kinds[name] for name in re.findall(r"<!-- options: (\S+) -->", pages)]
    assert sorted(marked) == sorted(set(kinds.values()))


def test_the_pages_are_written_in_place(tmp_path: Path) -> None:
    """What `make docs` does; in another process, with another order of hashes."""
    shutil.copytree(DOCS, tmp_path / "docs")
    torn = tmp_path / "docs" / "sinks" / "tcp.md"
    torn.write_text(re.sub(r"(-->\n).*(<!-- /)", r"\1\2", torn.read_text(), flags=re.DOTALL))
    (tmp_path / "docs" / "reference.md").unlink()
    command = [sys.executable, "-m", "agent.reference", str(tmp_path / "docs")]
    subprocess.run(command, check=True, cwd=DOCS.parent, timeout=60)
    for path in (PAGE, *SINK_PAGES):
        assert (tmp_path / "docs" / path.relative_to(DOCS)).read_text() == path.read_text()


def test_a_marker_of_a_scheme_that_is_not_known_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"not known: carrier\+pigeon"):
        filled("<!-- options: carrier+pigeon -->\n<!-- /options -->")


def test_nothing_that_can_be_set_or_seen_is_missing() -> None:
    """Every variable, scheme, option, metric and cause has its line."""
    page = "\n".join([reference(), *(path.read_text("utf-8") for path in SINK_PAGES)])
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
    metrics.registry.register(Exposition(list, oldest_s=0, clock=lambda: 0))
    served = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in metrics.registry.collect()
        if family.name.startswith(PREFIX)  # those of cAdvisor have a page of their own
    }
    assert served == {metric.name for metric in metrics.declared}


def test_every_row_of_a_table_has_as_many_cells() -> None:
    """A `|` in a value or a sentence does not break its table."""
    width = 0
    pages = [reference(), *(path.read_text("utf-8") for path in SINK_PAGES)]
    for line in "\n".join(pages).splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("|"):
            assert cells == (width or cells), line
            width = cells
        else:
            width = 0
