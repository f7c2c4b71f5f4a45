"""Joiner: holds the record that may go on, and lets go of it as soon as it is known to be whole. Sans-I/O.

It is whole when a line comes that does not go on with it, when a line comes that ends it, or when none came for
the rule's `timeout`. Then the rest, should it still come, is a further record, as it is where a bound was reached.
So whoever calls `flush` lets the readers have their turn before: what came meanwhile is fed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from agent.batch import Batch, Container
from agent.pipeline.multiline import held as saved
from agent.pipeline.multiline.held import STREAMS, Held
from agent.pipeline.multiline.lines import DONE
from agent.pipeline.multiline.rule import Rule


class Joiner:
    """Joins the lines of one container, each stream for itself. The first of its steps: the Engine's columns only.

    A joined record has the time, the place and so the id of its first line, and the lines with newlines between.
    It is marked truncated if a line was, or if the rest comes as a further record because a bound was reached.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._grammar = rule.grammar
        self._held = {stream: Held() for stream in STREAMS}

    def feed(self, batch: Batch, now: float) -> list[Batch]:
        """What is whole now, in order; `batch` itself when nothing is held and nothing was joined."""
        if not batch.messages:
            return [batch]
        held = self._held[batch.stream]
        spans, state = self._grammar.read(held.state, batch.messages)
        if not spans and state == DONE and held.first is None:
            held.state = DONE
            return [batch]
        done = list(self._join(held, batch, spans, state))
        held.state = state
        held.came = now
        return _merged(done)

    def due(self) -> float | None:
        """When to `flush`, monotonic seconds; None: nothing is held."""
        dues = [self._due(held) for held in self._held.values() if held.first is not None]
        return min(dues, default=None)

    def flush(self, now: float) -> list[Batch]:
        """What waited for the timeout. What was held before the agent was started begins to wait now."""
        done: list[Batch] = []
        for held in self._held.values():
            if held.first is None:
                continue
            if held.came is None:
                held.came = now
            elif self._due(held) <= now:
                done += held.take()
        return done

    def finish(self) -> list[Batch]:
        """All that is held: nothing follows."""
        done = [record for held in self._held.values() for record in held.take()]
        self._held = {stream: Held() for stream in STREAMS}
        return done

    def to_bytes(self) -> bytes:
        """What is held, and what it waits for; empty for nothing."""
        return saved.to_bytes(self._grammar.digest, self._held)

    @classmethod
    def from_bytes(cls, rule: Rule, data: bytes, container: Container) -> Joiner:
        """Where another left off. What another rule held is let go of with the next line. Raises ValueError."""
        joiner = cls(rule)
        joiner._held = saved.from_bytes(joiner._grammar.digest, data, container)
        return joiner

    def _due(self, held: Held) -> float:
        return 0.0 if held.came is None else held.came + self._rule.timeout

    def _join(
        self, held: Held, batch: Batch, spans: Sequence[tuple[int, int]], state: int
    ) -> Iterator[Batch]:
        """Every record that is whole, or too long; the one that may go on is held."""
        rows = len(batch)
        if state != DONE and (not spans or spans[-1][1] != rows):
            spans = [*spans, (rows - 1, rows)]
        at = 0
        for first, end in spans:
            if first >= 0:
                yield from held.take()
            if first > at:
                yield batch.rows(at, first)
            for row in range(max(first, 0), end):
                if held.first is not None and self._full(held, batch.messages[row]):
                    yield from held.take(goes_on=True)
                held.add(batch, row)
            at = end
        if at < rows or state == DONE:
            yield from held.take()
        if at < rows:
            yield batch.rows(at, rows)

    def _full(self, held: Held, message: bytes) -> bool:
        """Whether this line is too much."""
        return len(held.lines) >= self._rule.max_lines or held.size + 1 + len(message) > self._rule.max_bytes


def _merged(batches: Sequence[Batch]) -> list[Batch]:
    """The same records in as few batches as there are containers: a rename makes another."""
    runs = (list(run) for _, run in groupby(batches, lambda batch: id(batch.container)))
    return [run[0] if len(run) == 1 else _one(run) for run in runs]


def _one(batches: Sequence[Batch]) -> Batch:
    """These batches of one container and stream as one."""
    ordinals, truncated, rows = None, set[int](), 0
    for batch in batches:
        truncated.update(rows + row for row in batch.truncated)
        rows += len(batch)
    if any(batch.ordinals is not None for batch in batches):
        ordinals = list(chain.from_iterable(batch.ordinals or [0] * len(batch) for batch in batches))
    times = None
    if all(batch.times is not None for batch in batches):
        times = list(chain.from_iterable(batch.times or () for batch in batches))
    return Batch(
        container=batches[0].container,
        stream=batches[0].stream,
        timestamps=list(chain.from_iterable(batch.timestamps for batch in batches)),
        messages=list(chain.from_iterable(batch.messages for batch in batches)),
        ordinals=ordinals,
        truncated=frozenset(truncated),
        times=times,
    )
