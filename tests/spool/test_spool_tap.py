"""The tap: whoever listens is told of each batch once, as it is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.batch import Batch
from tests.spool.batches import batch, opened


async def test_a_tap_is_told_of_what_is_accepted_while_it_is_there(tmp_path: Path) -> None:
    """In order, at once, and of nothing before or after."""
    heard: list[Batch] = []

    def hear(batches: Sequence[Batch]) -> None:
        heard.extend(batches)

    async with opened(tmp_path, "a") as spool:
        put = [batch(number) for number in range(4)]
        await spool.put(put[:1])
        spool.tap = hear
        await spool.put(put[1:3])
        assert heard == put[1:3]
        spool.tap = None
        await spool.put(put[3:])
        assert heard == put[1:3]
