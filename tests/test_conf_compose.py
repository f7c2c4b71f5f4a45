"""Every Compose file in conf/ is one to Compose itself, which reads the agent's settings in it as the tests do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose import compose, version
from tests.test_conf import CONF, agent_of

FILES = sorted(CONF.glob("*/*compose.yaml"))
#: The first that knows `content` of a config.
CONTENT = (2, 23)


def _readable(path: Path, directory: Path) -> Path:
    """The file, or a copy with the contents of configs as files, for a Compose that knows only those."""
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    configs = document.get("configs", {})
    inline = [name for name, config in configs.items() if "content" in config]
    if not inline or version() >= CONTENT:
        return path
    for name in inline:
        (directory / name).write_text(configs[name].pop("content"), "utf-8")
        configs[name]["file"] = f"./{name}"
    copy = directory / path.name
    copy.write_text(yaml.safe_dump(document), "utf-8")
    return copy


def test_there_are_files() -> None:
    """An empty list would keep the promise below."""
    assert {path.parent.name for path in FILES} >= {"host", "sidecar", "sinks", "pipeline", "moving"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_compose_reads_it(path: Path, tmp_path: Path) -> None:
    """And finds in it what `agent_of` does, on which the other tests of conf/ rely."""
    file = _readable(path, tmp_path)
    shown = yaml.safe_load(compose(file.parent, "-f", file.name, "config", DOCKER_GID="999"))
    wanted = {name: str(value) for name, value in agent_of(path)["environment"].items()}
    environment = shown["services"]["dockferry"]["environment"]
    assert {name: str(value).replace("$$", "$") for name, value in environment.items()} == wanted
