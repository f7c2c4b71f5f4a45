"""The ledger: every line that containers wrote, held against what arrived."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from agent.simulator import Container

_SHOWN = 8


class Ledger:
    """Lines written, each unlike all others: whose it is, and which of the container's stream."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = defaultdict(list)

    @property
    def total(self) -> int:
        """How many lines were written."""
        return sum(map(len, self.lines.values()))

    def write(self, container: Container, count: int = 1, *, stream: str = "stdout", more: str = "") -> None:
        """Have the container write so many lines; `more` is what they say besides."""
        for _ in range(count):
            said = self.lines[f"{container.id[:12]}-{stream}"]
            said.append(f"{container.id[:12]}-{stream} {len(said):06}{more}")
            container.write(said[-1].encode() + b"\n", stream)

    def of(self, container: Container) -> set[str]:
        """All lines of a container."""
        return {
            line for key, said in self.lines.items() if key.startswith(container.id[:12]) for line in said
        }

    def whole(self, arrived: Sequence[str]) -> bool:
        """Whether every line has arrived."""
        return len(arrived) >= self.total and {line for said in self.lines.values() for line in said} <= set(
            arrived
        )

    def differences(self, arrived: Sequence[str], *, repeats: int = 0, accounted: int = 0) -> str:
        """What is wrong with what arrived, for a person; nothing: all is well.

        repeats    how many may have come more than once, at the most
        accounted  how many are missing and were entered as lost
        """
        counts = Counter(arrived)
        written = [line for said in self.lines.values() for line in said]
        missing = [line for line in written if line not in counts]
        strange = sorted(counts.keys() - set(written))
        again = counts.total() - len(counts)
        problems = []
        if len(missing) != accounted:
            problems.append(
                f"{len(missing)} of {len(written)} missing, {accounted} accounted for: {_some(missing)}"
            )
        if strange:
            problems.append(f"{len(strange)} never written: {_some(strange)}")
        if again > repeats:
            twice = [line for line, count in counts.items() if count > 1]
            problems.append(f"{again} repeats, not {repeats} at most: {_some(twice)}")
        problems += self._out_of_order(list(counts))
        return "; ".join(problems)

    def _out_of_order(self, arrived: Sequence[str]) -> list[str]:
        """`arrived`: each once, when it first came."""
        came: dict[str, list[str]] = defaultdict(list)
        for line in arrived:
            came[line.split(" ", 1)[0]].append(line)
        return [
            f"{key} came out of order, at {_some([b for a, b in pairwise(lines) if b < a])}"
            for key, lines in came.items()
            if lines != sorted(lines)
        ]


def _some(lines: Sequence[str]) -> str:
    shown = ", ".join(line[:60] for line in lines[:_SHOWN])
    return shown + (", …" if len(lines) > _SHOWN else "")
