"""Narrowing: of what the spool holds, the records that one sink is to get, as that sink is to see them.

Between the spool and the first request, so that retries, cuts and dead letters are of what was left. An entry that
comes again leaves the same rows, as a sink that stored a part of it goes on at the row where it left off. (Only a
private key whose lines are records of several entries may be taken out of fewer of them.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Self
from zlib import crc32

from agent.batch import Batch, Container
from agent.metrics import Metrics
from agent.pipeline.rules import Rules
from agent.pipeline.sample import Sampler
from agent.pipeline.tally import ContainerTally
from agent.sinks.base import SinkOptions
from agent.spool import Entry

#: For so many containers the steps are kept: they know nothing that outlasts a batch, but for an open private key.
MOST_CONTAINERS: Final = 1000


class Narrowing:
    """Entry → the batch that this sink gets of it, maybe empty; the same object when nothing changes."""

    def __init__(self, name: str, options: SinkOptions, metrics: Metrics) -> None:
        self._name = name
        self._options = options
        self._metrics = metrics
        self._lanes = OrderedDict[tuple[str, str], _Lane]()
        self._seen = 0

    @classmethod
    def of(cls, name: str, options: SinkOptions, metrics: Metrics) -> Self | None:
        """That of the sink `name`; None: it gets all there is."""
        asked = options.drop or options.keep_only or options.sample or options.redact
        return cls(name, options, metrics) if asked or options.min_level is not None else None

    def __call__(self, entry: Entry) -> Batch:
        lane = self._lane(entry.batch.container)
        lane.tally.counting = entry.seq > self._seen
        self._seen = max(self._seen, entry.seq)
        return lane(entry.batch)

    def _lane(self, container: Container) -> _Lane:
        key = container.id, container.name
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(self._options, _Tally(self._metrics, container.name, self._name))
            if len(self._lanes) > MOST_CONTAINERS:
                self._lanes.popitem(last=False)
        else:
            self._lanes.move_to_end(key)
        return lane


class _Tally(ContainerTally):
    """Counts an entry when it comes for the first time."""

    counting = True

    def withheld(self, reason: str, count: int) -> None:
        if self.counting:
            super().withheld(reason, count)

    def redacted(self, count: int) -> None:
        if self.counting:
            super().redacted(count)


class _Lane:
    """One container's steps for this sink."""

    def __init__(self, options: SinkOptions, tally: _Tally) -> None:
        self.tally = tally
        rules = _rules(options)
        self._steps = [step for _, step in (*rules.choosing(tally), *rules.redacting(tally))]

    def __call__(self, batch: Batch) -> Batch:
        for step in self._steps:
            if not len(batch):
                break
            if isinstance(step, Sampler):
                step.seen = crc32(b"%d" % batch.timestamps[0])
            batch = step(batch)
        return batch


def _rules(options: SinkOptions) -> Rules:
    return Rules(
        drop=options.drop,
        keep=options.keep_only,
        min_level=options.min_level,
        sample=options.sample,
        redact=(options.redact,) if options.redact else (),
        redact_key=options.redact_key,
    )
