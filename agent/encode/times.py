"""Times of a record's own, where a receiver takes not every one, or a strange one costs the neighbours something."""

from __future__ import annotations

from collections.abc import Sequence

from agent.batch import Batch


def near(batch: Batch, *, behind_ns: int, ahead_ns: int) -> Sequence[int]:
    """The records' own times where they are so near the one at which a record was read; else that."""
    if batch.read_at is None:
        return batch.timestamps
    return [
        own if read - behind_ns <= own <= read + ahead_ns else read
        for own, read in zip(batch.timestamps, batch.read_at, strict=True)
    ]
