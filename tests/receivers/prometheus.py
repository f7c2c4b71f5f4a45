"""Prometheus itself: scrapes what it is told to, judges the rules that users get, and is asked through its API."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.receivers.program import absent, free_port, listening, plain_environment, running

PROGRAMS = Path("/var/cache/dockferry-receivers/prometheus/usr/bin")
RULES = Path(__file__).parents[2] / "conf/prometheus/dockferry.rules.yml"
SCRAPE_S = 1


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - whatever JSON
        """The `data` of an answer of its API. Raises urllib.error.HTTPError with its reason."""
        query = urllib.parse.urlencode(params)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found


@contextlib.contextmanager
def prometheus(directory: Path, targets: Sequence[str], *, job: str = "dockferry") -> Iterator[Prometheus]:
    """One that scrapes these each second, from where `.ci/receivers` unpacked it."""
    port = free_port()
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    arguments: list[str | Path] = [
        PROGRAMS / "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    environment = plain_environment()
    with running(arguments, log=directory / "log", ready=lambda: listening(port), env=environment):
        yield Prometheus(f"http://127.0.0.1:{port}")


def promtool(*arguments: str | Path, given: str | None = None) -> str:
    """What promtool says; a test that needs it is skipped where it is not. Fails when it finds fault."""
    program = PROGRAMS / "promtool"
    if not program.exists():
        absent("promtool")
    done = subprocess.run(
        [program, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
