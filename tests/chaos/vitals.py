"""What the agent's process takes of the machine in the course of a storm, life by life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

#: A life of fewer samples tells nothing.
_FEWEST: Final = 40
_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """At one time: KiB resident, open descriptors, threads; asyncio tasks as the agent told last, 0: it did not."""

    resident_kib: int
    descriptors: int
    threads: int
    tasks: int


@dataclass(slots=True)
class Vitals:
    """Samples of each life, one a second, by process id."""

    lives: dict[int, list[Sample]] = field(default_factory=dict)
    due: float = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is time for another sample; `now`: monotonic, s."""
        return now >= self.due

    def take(self, pid: int, now: float, tasks: int | None) -> None:
        """One sample of this process, if it is there. `tasks` None: it did not tell."""
        self.due = now + _EVERY_S
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
        values = dict(line.split(":", 1) for line in status.splitlines())
        if "VmRSS" in values:  # else it is a zombie
            life = self.lives.setdefault(pid, [])
            tasks = tasks or (life[-1].tasks if life else 0)
            life.append(Sample(int(values["VmRSS"].split()[0]), descriptors, int(values["Threads"]), tasks))

    @property
    def longest(self) -> Sequence[Sample]:
        """The life that lasted longest."""
        return max(self.lives.values(), key=len, default=[])

    def table(self) -> str:
        """The medians of the second and the last quarter of the longest life, for a person."""
        early, late = self._quarters()
        rows = [
            f"{'longest life: ' + str(len(self.longest)) + ' s':26} {'2nd quarter':>12} {'last quarter':>13}",
            f"{'resident, MiB':26} {early.resident_kib / 1024:12.1f} {late.resident_kib / 1024:13.1f}",
            f"{'open descriptors':26} {early.descriptors:12} {late.descriptors:13}",
            f"{'threads':26} {early.threads:12} {late.threads:13}",
            f"{'asyncio tasks':26} {early.tasks:12} {late.tasks:13}",
        ]
        return "\n".join(rows)

    def growth(self) -> list[str]:
        """What has grown beyond a generous bound in the longest life, for a person."""
        if len(self.longest) < _FEWEST:
            return []
        early, late = self._quarters()
        return [
            f"{what} grew from {one} to {other}, by more than {bound}"
            for what, one, other, bound in (
                ("resident KiB", early.resident_kib, late.resident_kib, 32 * 1024 + early.resident_kib // 4),
                ("open descriptors", early.descriptors, late.descriptors, 30),
                ("threads", early.threads, late.threads, 10),
                ("asyncio tasks", early.tasks, late.tasks, 60),
            )
            if other > one + bound
        ]

    def _quarters(self) -> tuple[Sample, Sample]:
        life = self.longest
        quarter = len(life) // 4
        return _middle(life[quarter : 2 * quarter] or life), _middle(life[3 * quarter :] or life)


def _middle(samples: Sequence[Sample]) -> Sample:
    if not samples:
        return Sample(0, 0, 0, 0)
    return Sample(
        int(median(each.resident_kib for each in samples)),
        int(median(each.descriptors for each in samples)),
        int(median(each.threads for each in samples)),
        int(median(each.tasks for each in samples)),
    )
