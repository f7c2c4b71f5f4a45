"""`dockferry spool replay`: dead letters sent again, sink after sink, with a line on what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agent.errors import DockferryError, UsageError
from agent.options import unknown
from agent.settings import Settings
from agent.show import IN_MEMORY
from agent.sinks import deadletter
from agent.sinks.base import Sink
from agent.sinks.deadletter import ReplayResult
from agent.terminal import Progress


async def replay(
    settings: Settings, sinks: Sequence[Sink[Any]], name: str | None, say: Callable[[str], None]
) -> int:
    """Replay the dead letters of the sink `name`, or of all. 0: none is left; 1: some are.

    A sink that takes none now does not keep the others from theirs. Raises UsageError when there is no such
    sink, or no state directory.
    """
    directory = settings.dead_letters
    if directory is None:
        raise UsageError(IN_MEMORY)
    chosen = [sink for sink in sinks if name in {None, sink.target.name}]
    if name is not None and not chosen:
        raise UsageError(unknown("sink {!r}".format, name, [sink.target.name for sink in sinks]))
    left = 0
    for sink in chosen:
        with Progress() as progress:
            try:
                result = await deadletter.replay(
                    sink, directory, progress=_teller(progress, sink.target.name)
                )
            except (DockferryError, OSError) as error:
                progress.clear()
                say(f"{sink.target.name}: {error}")
                left += 1
                continue
        say(f"{sink.target.name}: {_told(result)}")
        left += result.refused + result.damaged
    return 1 if left else 0


def _teller(progress: Progress, name: str) -> Callable[[ReplayResult], None]:
    return lambda result: progress.tell(f"{name}: {_told(result)}")


def _told(result: ReplayResult) -> str:
    if result == ReplayResult():
        return "no dead letters"
    damaged = f", {result.damaged} cannot be read" if result.damaged else ""
    return f"{result.delivered} delivered, {result.refused} refused again{damaged}"
