"""The record as a line for a person: `2026-11-23T06:13:46.489Z web stdout error | message`.

Milliseconds do for reading. The message's bytes go out as they came: an application's own colours stay. Parsed fields
are not shown, as the message tells them.
"""

from __future__ import annotations

import zlib

from agent.batch import Batch, Stream
from agent.level import Level

_MILLISECONDS = len("2026-11-23T06:13:46.489")
_RESET = b"\x1b[0m"
_DIM = b"\x1b[2m"
_RED = b"\x1b[31m"
_YELLOW = b"\x1b[33m"
_COLOURS = {
    **dict.fromkeys((Level.TRACE, Level.DEBUG), _DIM),
    Level.WARNING: _YELLOW,
    **dict.fromkeys((Level.ERROR, Level.CRITICAL, Level.ALERT, Level.EMERGENCY), _RED),
}
_BAR = b" | "
#: Green, yellow, blue, magenta, cyan, plain and bright: no red, which is stderr's.
_TAG_COLOURS = [b"\x1b[%dm" % code for code in (32, 33, 34, 35, 36, 92, 93, 94, 95, 96)]


def text(batch: Batch, *, colour: bool) -> bytes:
    r"""Every record as one line and `\n`; with `colour`, each tag has one of its own, stderr and errors are red."""
    middle = _middle(batch, colour=colour)
    before, after = (_DIM, _RESET) if colour else (b"", b"")
    times = [b"%b%bZ%b" % (before, time[:_MILLISECONDS], after) for time in batch.rfc3339()]
    messages = list(batch.messages)
    for row in batch.truncated:
        messages[row] += b" [truncated]"
    if batch.levels:
        words = [middle, *(_with_level(middle, level, colour=colour) for level in Level)]
        columns = zip(times, map(words.__getitem__, batch.levels), messages, strict=True)
        return b"".join(b"%b%b%b\n" % column for column in columns)
    return b"".join(
        b"%b%b%b\n" % (time, middle, message) for time, message in zip(times, messages, strict=True)
    )


def _with_level(middle: bytes, level: Level, *, colour: bool) -> bytes:
    word = level.text.encode()
    if colour and level in _COLOURS:
        word = _COLOURS[level] + word + _RESET
    return b"%b %b%b" % (middle.removesuffix(_BAR), word, _BAR)


def _middle(batch: Batch, *, colour: bool) -> bytes:
    tag, stream = batch.container.tag.encode(), batch.stream.value.encode()
    if colour:
        tag = _TAG_COLOURS[zlib.crc32(tag) % len(_TAG_COLOURS)] + tag + _RESET
        if batch.stream is Stream.STDERR:
            stream = _RED + stream + _RESET
    return b" %b %b%b" % (tag, stream, _BAR)
