"""The record as a NATS message: an HPUB for each, with the record's id as the header that JetStream knows it by.

Source: NATS' docs, "Client Protocol" and "JetStream Model Deep Dive" (message deduplication). The payload is the
record as JSON, the same as everywhere; its level, where one is known, is also the header `Level`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import add

from agent.batch import Batch
from agent.encode.ndjson import lines
from agent.level import Level

_HEAD = b"NATS/1.0\r\nNats-Msg-Id: "
_LEVELS = [b"", *(b"\r\nLevel: " + level.text.encode() for level in Level)]
_HEAD_BYTES = len(_HEAD) + len(b"\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Publications:
    """Records as commands to the server, and how large it finds each: its `max_payload` counts the header, too."""

    commands: Sequence[bytes]
    sizes: Sequence[int]


def publications(batch: Batch, subject: bytes, inbox: bytes, first: int) -> Publications:
    """Each record to `subject`; it is acknowledged to `inbox`, a dot and its number, counted from `first` on."""
    ids, records = batch.ids(), lines(batch)
    if batch.levels:
        ids = list(map(add, ids, map(_LEVELS.__getitem__, batch.levels)))
    heads = [size + _HEAD_BYTES for size in map(len, ids)]
    sizes = [head + len(record) for head, record in zip(heads, records, strict=True)]
    begin = b"HPUB %b %b." % (subject, inbox)
    columns = zip(range(first, first + len(ids)), heads, sizes, ids, records, strict=True)
    return Publications(
        [
            b"%b%d %d %d\r\n%b%b\r\n\r\n%b\r\n" % (begin, number, head, size, _HEAD, name, record)
            for number, head, size, name, record in columns
        ],
        sizes,
    )
