"""The record as an entry of a Redis stream, or as an element of a list: commands in RESP, column by column.

Source: Redis' docs, XADD and RPUSH. An entry has the field `record`, the record as JSON, the same as everywhere, and
where its level is known the field `level`. A command for each entry, but one for all that go to the end of the same
list.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.batch import Batch, Container
from agent.encode.ndjson import lines
from agent.level import Level

FIELD, LEVEL = b"record", b"level"


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands in one piece, and how many records each of them carries."""

    data: bytes
    records: Sequence[int]


def xadd(batches: Sequence[Batch], key: Callable[[Container], bytes], maxlen: int) -> Commands:
    """Each record as an entry of the stream `key`, of which about `maxlen` are kept; 0: all."""
    data = b"".join(_entries(batch, key(batch.container), maxlen) for batch in batches)
    return Commands(data, [1] * sum(map(len, batches)))


def rpush(batches: Sequence[Batch], key: Callable[[Container], bytes]) -> Commands:
    """The records at the end of the list `key`, all or none of neighbours that have the same."""
    parts, counts = [], []
    for name, group in itertools.groupby(filter(len, batches), lambda batch: key(batch.container)):
        records = [record for batch in group for record in lines(batch)]
        parts += [_head(b"RPUSH", name, arguments=len(records)), *_bulks(records)]
        counts.append(len(records))
    return Commands(b"".join(parts), counts)


def _xadd(key: bytes, maxlen: int, level: int = 0) -> bytes:
    """An XADD up to its last argument."""
    bound = [b"MAXLEN", b"~", b"%d" % maxlen] if maxlen else []
    levels = [LEVEL, Level(level).text.encode()] if level else []
    return _head(b"XADD", key, *bound, b"*", *levels, FIELD, arguments=1)


def _head(*words: bytes, arguments: int) -> bytes:
    """The beginning of a command that has as many arguments after these words."""
    return b"*%d\r\n%b" % (len(words) + arguments, b"".join(_bulks(words)))


def _bulks(words: Sequence[bytes]) -> list[bytes]:
    return [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]


def _entries(batch: Batch, key: bytes, maxlen: int) -> bytes:
    records = lines(batch)
    sizes = list(map(len, records))
    parts = [b""] * (2 * len(records))
    if batch.levels:
        known = {level: _xadd(key, maxlen, level) for level in set(batch.levels)}
        heads = map(known.__getitem__, batch.levels)
        parts[0::2] = [b"\r\n%b$%d\r\n" % kind for kind in zip(heads, sizes, strict=True)]
    else:
        head = _xadd(key, maxlen)
        openings = {size: b"\r\n%b$%d\r\n" % (head, size) for size in set(sizes)}
        parts[0::2] = map(openings.__getitem__, sizes)
    parts[1::2] = records
    return b"".join(parts)[2:] + b"\r\n" if parts else b""
