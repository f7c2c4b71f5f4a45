"""What a container says to a peer, as labels of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Translation:
    """Labels without `dockferry.`, where each came from, and what could not be translated, a sentence each."""

    labels: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def say(self, name: str, source: str, text: Callable[[], str]) -> None:
        """A label, unless another peer has said it already; `text` raises ValueError saying what is right."""
        if name in self.labels:
            return
        try:
            self.labels[name] = text()
            self.sources[name] = source
        except ValueError as error:
            self.problems.append(f"{source} is not {error}")

    def no_counterpart(self, source: str, instead: str = "") -> None:
        """Something that is said for nothing."""
        self.problems.append(f"{source} has no counterpart" + (f": {instead}" if instead else ""))
