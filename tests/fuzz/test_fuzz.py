"""A few seconds of fuzzing, always the same; `python -m tests.fuzz` goes on for longer."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_only_documented_errors_come_out(target: Target) -> None:
    """Whatever goes in; the seed is in the failure's locals."""
    for seed in range(1000):
        target(random.Random(seed))
