"""The record as a line for a person: `2026-11-23T06:13:46.489Z web stdout | message`.

Milliseconds do for reading. The message's bytes go out as they came: an application's own colours stay.
"""

from __future__ import annotations

import zlib

from agent.batch import Batch, Stream

_MILLISECONDS = len("2026-11-23T06:13:46.489")
_RESET = b"\x1b[0m"
_DIM = b"\x1b[2m"
_RED = b"\x1b[31m"
#: Green, yellow, blue, magenta, cyan, plain and bright: no red, which is stderr's.
_TAG_COLOURS = [b"\x1b[%dm" % code for code in (32, 33, 34, 35, 36, 92, 93, 94, 95, 96)]


def text(batch: Batch, *, colour: bool) -> bytes:
    r"""Every record as one line and `\n`; with `colour`, each tag has one of its own, and stderr is red."""
    middle = _middle(batch, colour=colour)
    before, after = (_DIM, _RESET) if colour else (b"", b"")
    times = [b"%b%bZ%b" % (before, time[:_MILLISECONDS], after) for time in batch.rfc3339()]
    messages = list(batch.messages)
    for row in batch.truncated:
        messages[row] += b" [truncated]"
    return b"".join(
        b"%b%b%b\n" % (time, middle, message) for time, message in zip(times, messages, strict=True)
    )


def _middle(batch: Batch, *, colour: bool) -> bytes:
    tag, stream = batch.container.tag.encode(), batch.stream.value.encode()
    if colour:
        tag = _TAG_COLOURS[zlib.crc32(tag) % len(_TAG_COLOURS)] + tag + _RESET
        if batch.stream is Stream.STDERR:
            stream = _RED + stream + _RESET
    return b" %b %b | " % (tag, stream)
