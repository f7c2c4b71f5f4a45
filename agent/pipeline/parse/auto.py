"""auto: lines that look like JSON objects or logfmt, side by side too; the others stay as they are.

What looks like neither was not promised to be anything: only a line that begins as an object and is none counts
as not parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.pipeline.parse import json_lines, logfmt
from agent.pipeline.parse.parsed import NOTHING, Object, Parsed
from agent.pipeline.parse.text import of_text

#: Where the first `=` of logfmt stands at the latest.
MAX_FIRST_NAME: Final = 32

_parse_pairs = of_text(logfmt.read_surely)


def parse(messages: Sequence[bytes]) -> Parsed:
    """Lines of which each may be anything."""
    count = len(messages)
    objects: list[Object] = [NOTHING] * count
    fields: list[bytes | None] = [None] * count
    failed = 0
    braces = [row for row, message in enumerate(messages) if message.startswith(b"{")]
    if len(braces) == count:
        return json_lines.parse(messages)
    if braces:
        found = json_lines.parse([messages[row] for row in braces])
        failed = found.failed
        for row, made, text in zip(braces, found.objects, found.fields, strict=True):
            objects[row], fields[row] = made, text
    equals = [row for row, message in enumerate(messages) if message.find(b"=", 1, MAX_FIRST_NAME) > 0]
    if equals:
        found = _parse_pairs([messages[row] for row in equals])
        for row, made, text in zip(equals, found.objects, found.fields, strict=True):
            if text is not None:
                objects[row], fields[row] = made, text
    return Parsed(objects, fields, failed)
