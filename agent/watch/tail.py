"""`dockferry tail`: the lines as they pass, of one agent; on a terminal with colours."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from agent.errors import UsageError
from agent.terminal import printable
from agent.watch.remote import Event, Remote, Unanswered

_AGAIN_S: Final = 1.0
_SGR: Final = re.compile(r"(\x1b\[[0-9;:]{0,32}m)")
_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_LEVELS: Final = {
    "trace": _DIM,
    "debug": _DIM,
    "warning": "\x1b[33m",
    **dict.fromkeys(("error", "critical", "alert", "emergency"), "\x1b[31m"),
}
#: No red, which is that of errors.
_NAMES: Final = tuple(f"\x1b[{code}m" for code in (32, 34, 35, 36, 92, 94, 95, 96))

Say = Callable[[str], None]


async def tail(
    remote: Remote, query: Mapping[str, str], say: Say, tell: Say, *, colour: bool, as_json: bool
) -> None:
    """Print until cancelled; when the agent goes away, wait for it, and go on after what came last.

    say   is given each line · tell  what is to be said beside them
    as_json  a record as JSON instead
    Raises UsageError: it refuses; Unanswered: it did not answer even once.
    """
    last_id, answered = "", False
    while True:
        try:
            async for event in remote.tail(query, last_id):
                answered, last_id = True, event.id or last_id
                for note in _notes(event):
                    tell(note)
                for line in _json(event) if as_json else _lines(event, colour=colour):
                    say(line)
            gone = "the agent ends"
        except Unanswered as error:
            if not answered and not await _is_there(remote):
                raise
            gone = str(error)
        tell(f"{gone}; waiting for it")
        await _back(remote)


async def _is_there(remote: Remote) -> bool:
    try:
        await remote.state()
    except Unanswered:
        return False
    return True


async def _back(remote: Remote) -> None:
    there = False
    while not there:
        await asyncio.sleep(_AGAIN_S)
        there = await _is_there(remote)


def _notes(event: Event) -> Iterator[str]:
    """What was left out before."""
    match event.name, event.data:
        case "lines", {"skipped": int(count), "container": str(name)} if count:
            yield f"{count:,} lines of {printable(name)} skipped: more come than are sent"
        case "skipped", {"lines": int(count)}:
            yield f"{count:,} lines skipped"
        case "skipped", _:
            yield "an unknown number of lines skipped"
        case _:
            pass


def _rows(event: Event) -> list[tuple[str, str | None, Any, str]]:
    """Time, level, fields and text of each line."""
    if event.name != "lines":
        return []
    data = event.data
    try:
        lines = data["lines"]
        nothing = [None] * len(lines)
        levels, fields = data.get("levels") or nothing, data.get("fields") or nothing
        return list(zip(map(_time, data["times_us"]), levels, fields, lines, strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"this agent's tail is not understood ({error}): it may be of another version"
        ) from None


def _json(event: Event) -> Iterator[str]:
    for at, level, fields, text in _rows(event):
        record = {
            "timestamp": at,
            "stream": event.data.get("stream"),
            "message": text,
            "level": level,
            "fields": fields,
            "container": _present(
                {"name": event.data.get("container")}
                | {key: event.data.get(key) for key in ("id", "project", "service")}
            ),
        }
        yield orjson.dumps(_present(record)).decode()


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _lines(event: Event, *, colour: bool) -> Iterator[str]:
    name = printable(str(event.data.get("container", "")))
    for at, level, _, text in _rows(event):
        clock = at[11:23]
        shown = _shown(text, colour=colour)
        if colour:
            paint = _NAMES[zlib.crc32(name.encode()) % len(_NAMES)]
            shade = _LEVELS.get(level or "", "")
            yield f"{_DIM}{clock}{_RESET} {paint}{name}{_RESET} {shade}{shown}{_RESET}"
        else:
            yield f"{clock} {name} {level + ' ' if level else ''}{shown}"


def _shown(text: str, *, colour: bool) -> str:
    """The line without anything that would act on the terminal; its colours stay where there are any."""
    parts = _SGR.split(text)
    parts[0::2] = map(printable, parts[0::2])
    return "".join(parts if colour else parts[0::2])


def _time(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
