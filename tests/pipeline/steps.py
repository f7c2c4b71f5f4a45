"""Batches for the tests of steps, and a tally that remembers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agent.batch import Batch, Container, Stream

WEB = Container(id="a" * 64, name="web", image="nginx", tag="web", host="node-1")


class Tallied:
    """What steps entered: reasons, `unparsed`, `redacted`."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def withheld(self, reason: str, count: int) -> None:
        assert count > 0
        self.counts[reason] += count

    def unparsed(self, count: int) -> None:
        self.counts["unparsed"] += count

    def redacted(self, count: int) -> None:
        assert count > 0
        self.counts["redacted"] += count


def batch(
    *messages: bytes,
    fields: Sequence[bytes | None] | None = None,
    levels: bytes | None = None,
    stream: Stream = Stream.STDOUT,
    first_ns: int = 1_000,
) -> Batch:
    """A record a nanosecond."""
    stamps = list(range(first_ns, first_ns + len(messages)))
    return Batch(WEB, stream, stamps, list(messages), levels=levels, fields=fields)
