"""What is known of one container: who it is, how it fares, and what it used last."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.stats.limits import Condition, Limits
from agent.stats.sample import Sample

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(slots=True, eq=False)
class Known:
    """One container. `update` it when the Engine tells of it anew.

    limits   None: not asked for since its last start
    sample   the newest answer of this run, and `before` the one before it; None: there is none
    seen_s   when `sample` was taken, seconds since the epoch
    turns    how often it was its turn since `limits` were asked for
    asking   an answer is being waited for
    """

    facts: ContainerFacts
    container: Container
    condition: Condition = field(init=False)
    labels: dict[str, str] = field(init=False)
    limits: Limits | None = None
    sample: Sample | None = None
    before: Sample | None = None
    seen_s: float = 0.0
    turns: int = 0
    asking: bool = False

    def __post_init__(self) -> None:
        self.condition = Condition("")
        self.update(self.facts, self.container)

    @property
    def run(self) -> int | None:
        """When its run began, ns since the epoch, which tells it from others; None: it does not run."""
        return self.facts.started_ns if self.facts.running else None

    def update(self, facts: ContainerFacts, container: Container) -> None:
        """The Engine told of it anew; of another run than before there is no sample yet."""
        before, self.facts, self.container = self.run, facts, container
        health = self.condition.health
        if self.run is None or self.run != before:
            self.sample = self.before = self.limits = None
            health = ""
        self.condition = Condition("paused" if facts.paused else facts.status, health)
        self.labels = labels_of(container)

    def take(self, sample: Sample, seen_s: float) -> None:
        """Another answer came."""
        self.before, self.sample, self.seen_s = self.sample, sample, seen_s


def labels_of(container: Container) -> dict[str, str]:
    """The labels that cAdvisor would give its series; of two that come to be the same the first stays.

    Source: cAdvisor, lib/metrics/prometheus.go, BaseContainerLabels and sanitizeLabelName. `id` is the path of the
    cgroup where Docker's driver for them is cgroupfs.
    """
    labels = {"id": f"/docker/{container.id}", "name": container.name, "image": container.image}
    for name, value in sorted(container.labels.items()):
        labels.setdefault(f"container_label_{_NOT_IN_NAMES.sub('_', name)}", value)
    return labels
