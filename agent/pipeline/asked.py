"""What is asked for each container: by the settings, and by its own labels where they may."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.labels import LabelOptions, read_labels
from agent.metrics import Metrics
from agent.pipeline.chain import Chain
from agent.pipeline.describe import describe
from agent.pipeline.rules import Rules
from agent.pipeline.tally import ContainerTally
from agent.selectors import Selector
from agent.settings import Settings

log = logging.getLogger(__name__)

#: Of so many complaints it is known that they were made.
_REMEMBERED = 10_000


class Asked:
    """Answers for any container. What is wrong with its labels is said once, and ignored.

    host     the name of the machine that the containers run on
    selects  by sink, which containers that sink wants; empty: all
    """

    def __init__(
        self, settings: Settings, selects: Mapping[str, Sequence[Selector]], metrics: Metrics, *, host: str
    ) -> None:
        self.host = host
        self._settings = settings
        self._selects = selects
        self._metrics = metrics
        self._complaints: set[tuple[str, str]] = set()
        self._read: tuple[ContainerFacts, LabelOptions] | None = None

    def source(self, facts: ContainerFacts) -> str:
        """How it is to be read."""
        return self._labels(facts).source or self._settings.source

    def container(self, facts: ContainerFacts) -> Container:
        """How its records tell of it, and which sinks get them."""
        return describe(facts, self._labels(facts), self._settings, host=self.host, selects=self._selects)

    def chain(self, facts: ContainerFacts) -> Chain | None:
        """What is done to its records; None: nothing."""
        rules = Rules.of(self._settings, self._labels(facts))
        return Chain(rules, ContainerTally(self._metrics, facts.name)) if rules else None

    def _labels(self, facts: ContainerFacts) -> LabelOptions:
        if not self._settings.label_config:
            return LabelOptions()
        if (
            self._read is None or self._read[0] is not facts
        ):  # one container is asked about several times in a row
            self._read = facts, self._read_labels(facts)
        return self._read[1]

    def _read_labels(self, facts: ContainerFacts) -> LabelOptions:
        options, problems = read_labels(
            facts.labels, container_name=facts.name, translated=self._settings.compat.translate(facts)
        )
        problems += [
            f"container {facts.name}: label dockferry.sinks: there is no sink {name!r}"
            for name in options.sinks or ()
            if name not in self._selects
        ]
        if len(self._complaints) > _REMEMBERED:
            self._complaints.clear()
        for problem in problems:
            if (facts.id, problem) not in self._complaints:
                self._complaints.add((facts.id, problem))
                log.warning("%s; ignored", problem)
        return options
