"""`dockferry check`: would `run` work? Asks all that it would need, changes nothing and sends no record."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from agent import spool
from agent.engine.client import EngineClient
from agent.engine.endpoint import Endpoint, resolve
from agent.engine.version import EngineVersion
from agent.errors import DockferryError, EngineUnreachable, SpoolError
from agent.settings import Settings
from agent.sinks import redact
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, Sink, TooLarge
from agent.terminal import Progress, columns, mark

PATIENCE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one question."""

    well: bool
    said: str


async def check(settings: Settings, sinks: Sequence[Sink[Any]], say: Callable[[str], None]) -> int:
    """Ask state directory, Engine and every sink, all at once; `say` a line for each. 0: all is well, else 1.

    No answer within 15 s is a bad one.
    """
    findings = {"settings": _settings(settings), "state": _state(settings)}
    with Progress() as progress:
        async with asyncio.TaskGroup() as group:
            asked = {"engine": group.create_task(_engine(settings), name="check engine")}
            for sink in sinks:
                name = f"sink {sink.target.name}"
                asked[name] = group.create_task(_sink(sink, settings), name=f"check {name}")
            async with progress.ticking(lambda: _waiting(asked)):
                await asyncio.wait(asked.values())
    findings |= {name: task.result() for name, task in asked.items()}
    rows = [(mark(sys.stdout, well=found.well), name, found.said) for name, found in findings.items()]
    for line in columns(rows):
        say(line)
    return 0 if all(found.well for found in findings.values()) else 1


def _waiting(asked: Mapping[str, asyncio.Task[Finding]]) -> str:
    return "waiting for " + ", ".join(name for name, task in asked.items() if not task.done())


def _settings(settings: Settings) -> Finding:
    chosen = sum(origin != "default" for origin in settings.origins.values())
    return Finding(True, f"valid, {chosen} set (`dockferry config` shows them)")


def _state(settings: Settings) -> Finding:
    directory = settings.directory
    if directory is None:
        return Finding(True, "in memory: what waits for a sink is lost when the agent ends")
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        try:
            spool.inspect(directory)
        except SpoolError as error:
            return Finding(False, str(error))
        return Finding(True, str(directory) if there == directory else f"{directory} will be made")
    why = f"cannot be written by user {os.getuid()}" if there.is_dir() else "is no directory"
    return Finding(False, f"{there} {why}: set DOCKFERRY_STATE to a directory that can be, or to memory")


async def _engine(settings: Settings) -> Finding:
    try:
        endpoint = resolve(settings.docker)
        version, running = await _ask(endpoint, settings)
    except DockferryError as error:
        return Finding(False, str(error))
    at = f" on {version.name}" if version.name else ""
    return Finding(True, f"{version}{at} ({endpoint.said}), containers running: {running}")


async def _ask(endpoint: Endpoint, settings: Settings) -> tuple[EngineVersion, int]:
    try:
        async with asyncio.timeout(PATIENCE_S), EngineClient(endpoint, docker=settings.docker) as client:
            return await client.connect(), len(await client.containers(all=False))
    except TimeoutError:
        raise EngineUnreachable(f"no answer from {endpoint.said} within {PATIENCE_S:g} s") from None


async def _sink(sink: Sink[Any], settings: Settings) -> Finding:
    where = redact(settings.urls[sink.target.name])
    try:
        async with asyncio.timeout(PATIENCE_S):
            await sink.open(None, _forget)
            outcome = await sink.probe()
    except DockferryError as error:
        return Finding(False, f"{where}: {error}")
    except TimeoutError:
        return Finding(False, f"{where}: no answer within {PATIENCE_S:g} s")
    finally:
        await sink.close()
    return _judge(outcome, where, sink.proven)


def _judge(outcome: Outcome, where: str, proven: str) -> Finding:
    match outcome:
        case Delivered():
            return Finding(True, f"{where} {proven}")
        case (
            Retry(why=why) | Partial(why=why) | TooLarge(why=why) | Refused(why=why) | Misconfigured(why=why)
        ):
            return Finding(False, f"{where}: {why}")
        case _:
            assert_never(outcome)


async def _forget(_: bytes) -> None:
    """A checkpoint of a sink that delivers nothing."""
