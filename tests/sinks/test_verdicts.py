"""One outcome of many."""

from __future__ import annotations

import pytest

from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge
from agent.sinks.verdicts import Verdict, outcome

LATER, NEVER, MENDED, LARGE = Retry("later"), Refused("never"), Misconfigured("mend it"), TooLarge("large")


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ({}, Delivered()),
        ({0: LATER, 1: LATER, 2: LATER}, LATER),
        ({0: MENDED, 1: MENDED, 2: MENDED}, MENDED),
        ({0: LARGE, 1: LARGE, 2: LARGE}, LARGE),
        ({0: LATER, 1: MENDED, 2: LATER}, MENDED),
        ({1: NEVER}, Partial(refused={1: "never"})),
        ({0: NEVER, 1: NEVER, 2: NEVER}, Partial(refused={0: "never", 1: "never", 2: "never"})),
        ({0: LATER, 2: NEVER}, Partial({0: LATER}.keys(), {2: "never"}, "later")),
        ({0: LATER, 2: MENDED}, Partial({0: LATER, 2: MENDED}.keys(), {}, "mend it")),
        ({2: LARGE}, Partial({2: LARGE}.keys(), {}, "large")),
        ({0: NEVER, 1: LARGE, 2: LARGE}, Partial({1: LARGE, 2: LARGE}.keys(), {0: "never"}, "large")),
    ],
)
def test_what_is_settled_is_settled_and_the_rest_is_judged_by_itself(
    verdicts: dict[int, Verdict], whole: Outcome
) -> None:
    assert outcome(3, verdicts) == whole
