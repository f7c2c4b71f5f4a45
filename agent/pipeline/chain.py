"""Chain: the steps of one container, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agent.batch import Batch, Container
from agent.pipeline.multiline.joiner import Joiner
from agent.pipeline.rules import Rules
from agent.pipeline.step import Holding, Step, Tally

#: Told of a step by its setting's name, and of a batch before and after it.
Watch = Callable[[str, Batch, Batch], None]


class Chain:
    """What `rules` ask for, done to the batches of one container. Times are monotonic, in seconds.

    watch  is told of every step but `rate`; of `multiline` only what comes of it
    """

    def __init__(self, rules: Rules, tally: Tally, *, watch: Watch | None = None) -> None:
        self._rules = rules
        self._watch = watch
        self._joiner = Joiner(rules.multiline)
        self._limiter: Holding | None = rules.rate.step(tally) if rules.rate else None
        self._before = list(rules.choosing(tally))
        self._after = list(rules.redacting(tally))

    def feed(self, batch: Batch, now: float) -> list[Batch]:
        """What may go on now, in order."""
        joins = self._rules.multiline or self._joiner.due() is not None
        return list(self._pass(self._joiner.feed(batch, now) if joins else (batch,), now))

    def due(self) -> float | None:
        """When to `flush`; None: nothing is kept back."""
        dues = [self._joiner.due(), self._limiter.due() if self._limiter else None]
        return min((due for due in dues if due is not None), default=None)

    def flush(self, now: float) -> list[Batch]:
        """What has been kept back long enough."""
        batches = list(self._pass(self._joiner.flush(now), now))
        return batches + (self._finished(self._limiter.flush(now)) if self._limiter else [])

    def finish(self, now: float) -> list[Batch]:
        """All that is kept back: nothing follows."""
        batches = list(self._pass(self._joiner.finish(), now))
        return batches + (self._finished(self._limiter.finish()) if self._limiter else [])

    def held(self) -> bytes:
        """The records that are kept back, for `restore`; empty: none."""
        return self._joiner.to_bytes()

    def restore(self, held: bytes, container: Container) -> None:
        """Keep back what was kept back when `held` said so, and nothing else. Raises ValueError."""
        self._joiner = Joiner.from_bytes(self._rules.multiline, held, container)

    @staticmethod
    def let_go(held: bytes, container: Container) -> list[Batch]:
        """What was kept back when `held` said so, for a container that has no steps any more. Raises ValueError."""
        return list(Joiner.from_bytes(Rules().multiline, held, container).finish())

    def _pass(self, batches: Sequence[Batch], now: float) -> Iterator[Batch]:
        for batch in batches:
            if self._watch is not None:
                self._watch("multiline", batch, batch)
            chosen = self._do(self._before, batch)
            if len(chosen):
                yield from self._finished(self._limiter.feed(chosen, now) if self._limiter else (chosen,))

    def _finished(self, batches: Sequence[Batch]) -> list[Batch]:
        done = (self._do(self._after, batch) for batch in batches)
        return [batch for batch in done if len(batch)]

    def _do(self, steps: Sequence[tuple[str, Step]], batch: Batch) -> Batch:
        for name, step in steps:
            before, batch = batch, step(batch)
            if self._watch is not None:
                self._watch(name, before, batch)
            if not len(batch):
                break
        return batch
