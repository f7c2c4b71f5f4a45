"""What is made of a few lines, for the tests of formats."""

from __future__ import annotations

from typing import Any

import orjson

from agent.batch import Batch
from agent.pipeline.parse import Parse
from tests.pipeline.steps import Tallied, batch

FIRST_NS = 1_795_500_000_000_000_000
"""November 2026: when the Engine read the first line."""


def parsed(rule: str, *lines: bytes, tally: Tallied | None = None) -> Batch:
    """The batch after the step."""
    step = Parse.parse(rule).step(tally or Tallied())
    return step(batch(*lines, first_ns=FIRST_NS))


def fields(rule: str, line: bytes) -> Any:  # noqa: ANN401 - whatever JSON may hold
    """What is in the fields of this line; None: it was not parsed."""
    found = parsed(rule, line).fields
    return None if found is None or found[0] is None else orjson.loads(found[0])
