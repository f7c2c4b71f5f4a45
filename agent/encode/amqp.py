"""The record as a message of AMQP 0-9-1: header and body frames, column by column.

Source: the specification, 4.2.6 (content). A message is the record as JSON, or the records of a request as lines
of it; persistent, and its message id is the (first) record's, by which one that comes twice can be told. A record's
level, where one is known, is the header `level`, by which an exchange of type `headers` can route it.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.batch import NS, Batch, Container
from agent.encode.ndjson import lines, ndjson
from agent.level import Level

_CHANNEL = 1
_END = b"\xce"
_AROUND = 8  # bytes of a frame beside its payload
_HEADER, _BODY = 2, 3
_BASIC = 60
_FLAGS = 1 << 15 | 1 << 12 | 1 << 7 | 1 << 6 | 1 << 3  # the properties below, in this order
_HEADERS_FLAG = 1 << 13  # behind the content type
_PERSISTENT = b"\x02"
_APP_ID = b"\x09dockferry"
_RECORD, _LINES = b"application/json", b"application/x-ndjson"
_PARTS = 5  # opening, id, time, head of the body, body


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages in one piece; of each, how many records it carries, its id, and the bytes of its body."""

    data: bytes
    records: Sequence[int]
    ids: Sequence[bytes]
    sizes: Sequence[int]


def a_record_each(
    batches: Iterable[Batch], publish: Callable[[Container], bytes], frame_bytes: int
) -> Messages:
    """A message of each record.

    publish      what stands before a message of this container
    frame_bytes  the largest frame that the broker takes
    """
    parts: list[bytes] = []
    every: list[bytes] = []
    sizes: list[int] = []
    for batch in batches:
        bodies, ids = lines(batch), batch.ids()
        parts += _messages(
            publish(batch.container),
            _RECORD,
            bodies,
            ids,
            stamps=batch.timestamps,
            frame_bytes=frame_bytes,
            levels=batch.levels or b"",
        )
        every += ids
        sizes += map(len, bodies)
    return Messages(b"".join(parts), [1] * len(every), every, sizes)


def many_records_each(
    batches: Iterable[Batch], publish: Callable[[Container], bytes], frame_bytes: int
) -> Messages:
    """As `a_record_each`, but neighbours that go the same way are one message."""
    parts: list[bytes] = []
    counts, every, sizes = [], [], []
    for way, same in itertools.groupby(filter(len, batches), lambda batch: publish(batch.container)):
        group = list(same)
        body, ids, stamps = b"".join(map(ndjson, group)), group[0].ids()[:1], group[0].timestamps[:1]
        parts += _messages(way, _LINES, [body], ids, stamps=stamps, frame_bytes=frame_bytes)
        counts.append(sum(map(len, group)))
        every += ids
        sizes.append(len(body))
    return Messages(b"".join(parts), counts, every, sizes)


def _messages(
    publish: bytes,
    content_type: bytes,
    bodies: Sequence[bytes],
    ids: Sequence[bytes],
    *,
    stamps: Sequence[int],
    frame_bytes: int,
    levels: bytes = b"",
) -> list[bytes]:
    """A message of each body. What ends a body's last frame stands before the next one's opening."""
    if not bodies:
        return []
    most = frame_bytes - _AROUND
    sizes = list(map(len, bodies))
    kinds = list(zip(sizes, map(len, ids), levels or bytes(len(ids)), strict=True))
    openings = {kind: _END + publish + _opening(*kind, content_type) for kind in set(kinds)}
    heads = {size: _head(_BODY, min(size, most)) for size in set(sizes)}
    seconds = [stamp // NS for stamp in stamps]
    times = {second: _closing(second) for second in set(seconds)}
    parts = [b""] * (_PARTS * len(bodies))
    parts[0::_PARTS] = map(openings.__getitem__, kinds)
    parts[1::_PARTS] = ids
    parts[2::_PARTS] = map(times.__getitem__, seconds)
    parts[3::_PARTS] = map(heads.__getitem__, sizes)
    parts[4::_PARTS] = bodies if max(sizes) <= most else [_divided(body, most) for body in bodies]
    parts[0] = parts[0][len(_END) :]
    parts.append(_END)
    return parts


def _opening(size: int, id_size: int, level: int, content_type: bytes) -> bytes:
    """A header up to the message's id."""
    flags = _FLAGS | _HEADERS_FLAG if level else _FLAGS
    fixed = struct.pack(">HHQHB", _BASIC, 0, size, flags, len(content_type)) + content_type
    fixed += (_headers(level) if level else b"") + _PERSISTENT
    payload = len(fixed) + 1 + id_size + len(_closing(0)) - len(_END)
    return _head(_HEADER, payload) + fixed + bytes((id_size,))


def _headers(level: int) -> bytes:
    """A table with one long string."""
    text = Level(level).text.encode()
    table = b"\x05levelS" + struct.pack(">L", len(text)) + text
    return struct.pack(">L", len(table)) + table


def _closing(second: int) -> bytes:
    """The rest of a header, behind the message's id."""
    return struct.pack(">Q", max(second, 0)) + _APP_ID + _END


def _divided(body: bytes, most: int) -> bytes:
    """A body whose frames have at most so many bytes each, without what is around them as a whole."""
    pieces = [body[at : at + most] for at in range(0, len(body), most)]
    return pieces[0] + b"".join(_END + _head(_BODY, len(piece)) + piece for piece in pieces[1:])


def _head(kind: int, size: int) -> bytes:
    return struct.pack(">BHL", kind, _CHANNEL, size)
