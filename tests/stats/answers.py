"""The recorded answers; see `answers/README.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.stats.sample import Sample, sample_of

ANSWERS = Path(__file__).parent / "answers"
V1, V2, PODMAN = "docker-20.10-v1", "docker-28.5-v2", "podman-5.4-v1"
ENGINES = (V1, "docker-28.5-v1", V2, PODMAN)

ID = "ab" * 32
START_NS = 1_795_451_255_000_000_000


def recorded(engine: str, container: str) -> bytes:
    """An answer as it came."""
    return (ANSWERS / f"{engine}-{container}.json").read_bytes()


def document(engine: str, container: str) -> dict[str, Any]:
    """The same, decoded: to be changed by a test."""
    found: dict[str, Any] = orjson.loads(recorded(engine, container))
    return found


def sample(engine: str, container: str) -> Sample:
    """The sample of a container that runs."""
    found = sample_of(recorded(engine, container))
    assert found is not None
    return found


def facts(**changed: Any) -> ContainerFacts:  # noqa: ANN401 - whatever field
    """A container that runs."""
    known: dict[str, Any] = {
        "id": ID,
        "name": "web",
        "image": "nginx:1.27",
        "running": True,
        "status": "running",
    }
    return ContainerFacts(**known | {"started_ns": START_NS, "created_ns": START_NS - 1} | changed)


def described(found: ContainerFacts, **labels: str) -> Container:
    """The container as its records tell of it."""
    return Container(
        id=found.id, name=found.name, image=found.image, tag=found.name, host="node", labels=labels
    )
