"""For tests of discovery: settings that choose containers, and an ear for what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from agent.compat import Peers
from agent.engine.changes import Appeared, Change, Died, EngineBack, EngineLost, Gone, Started
from agent.selectors import Selector

T = TypeVar("T", bound=Change)
DEADLINE_S = 30.0
NOBODY = Peers()


@dataclass(frozen=True)
class Settings:
    """The settings that choose containers."""

    include: Sequence[Selector] = ()
    exclude: Sequence[Selector] = ()
    opt_in: bool = False
    scope: str = "host"
    label_config: bool = True
    compat: Peers = NOBODY


@dataclass
class Heard:
    """Every change that was handed on, and a way to wait for one."""

    changes: list[Change] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, change: Change) -> None:
        async with self.news:
            self.changes.append(change)
            self.news.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when `holds`; TimeoutError, with what was heard, after 30 s."""
        try:
            async with asyncio.timeout(DEADLINE_S), self.news:
                await self.news.wait_for(holds)
        except TimeoutError:
            raise TimeoutError(f"heard only {self.changes}") from None

    def all(self, kind: type[T]) -> list[T]:
        return [change for change in self.changes if isinstance(change, kind)]

    def of(self, id: str) -> list[str]:
        """What was told of one container, in order."""
        return [
            type(change).__name__
            for change in self.changes
            if not isinstance(change, EngineLost | EngineBack)
            and id == (change.id if isinstance(change, Died | Gone) else change.facts.id)
        ]

    def runs(self, id: str) -> bool:
        """Whether it was told that a container runs, now or before."""
        return any(
            isinstance(change, Appeared | Started) and change.facts.id == id and change.facts.running
            for change in self.changes
        )

    async def count(self, kind: type[Change], number: int) -> None:
        """Return when so many changes of a kind were told."""
        await self.until(lambda: sum(isinstance(change, kind) for change in self.changes) == number)

    async def gone(self, id: str) -> None:
        """Return when the last thing told of a container is its removal."""
        await self.until(lambda: self.of(id)[-1:] == ["Gone"])

    async def told(self, id: str, *names: str) -> None:
        """Return when exactly this was told of one container."""
        await self.until(lambda: self.of(id) == list(names))
