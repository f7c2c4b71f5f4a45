"""One outcome of many: for receivers that answer for each record of a request by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, TooLarge

Verdict: TypeAlias = Retry | Misconfigured | TooLarge | Refused


def outcome(records: int, verdicts: Mapping[int, Verdict]) -> Outcome:
    """What became of a request of so many records, when those not among `verdicts` are delivered.

    Where some records are settled, the others are tried again by themselves, so that whatever stands against
    them is then said of the whole request and repeats nothing.
    """
    if not verdicts:
        return Delivered()
    refused = {row: verdict.why for row, verdict in verdicts.items() if isinstance(verdict, Refused)}
    again = {row: verdict for row, verdict in verdicts.items() if row not in refused}
    if not again:
        return Partial(refused=refused)
    worst = next((each for each in again.values() if isinstance(each, Misconfigured)), None)
    worst_or_first = worst or next(iter(again.values()))
    if len(again) == records:
        return worst_or_first
    return Partial(again.keys(), refused, worst_or_first.why)
