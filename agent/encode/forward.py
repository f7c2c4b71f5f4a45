"""Fluentd's Forward protocol: batches as PackedForward messages, in MessagePack.

Source: fluentd's "Forward Protocol Specification v1", the MessagePack specification, and for the keys moby's
daemon/logger/fluentd/fluentd.go. An entry is

    [EventTime, {"container_id": …, "container_name": "/web", "source": "stdout", …, "log": …, "record_id": …}]

All values are text, as that driver sends them, but for `fields`: a map of what was parsed. What differs from entry
to entry is interleaved, column by column, with what does not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgpack
import orjson

from agent.batch import NS, Batch, Container, Stream
from agent.encode.fields import parsed
from agent.encode.orchestrated import named
from agent.encode.utf8 import cleaned
from agent.level import Level
from agent.options import MiB

FORMAT = "forward"
#: What receivers take unless told otherwise: Fluent Bit hangs up at 6,144,000 bytes, decompressed or as sent.
CHUNK_BYTES = 5 * MiB
_EVENT_TIME = b"\x92\xd7\x00"  # an array of two; then ext type 0 of eight bytes: seconds, nanoseconds
_SECONDS = b"\x92\xd3"  # an array of two; then a signed integer of eight bytes
_EVENT_TIME_END = 1 << 32
_LOG, _RECORD_ID, _TRUNCATED, _LEVEL, _FIELDS = "log", "record_id", "truncated", "level", "fields"
_PER_RECORD = frozenset({_LOG, _RECORD_ID, _TRUNCATED})
_TEXT8 = b"\xd9"  # text of less than 256 bytes, its length in one byte
_PARTS = 7  # opening, time, constant, text's head, log, id's key and head, id


@dataclass(slots=True)
class Chunk:
    """What one message carries: entries of one tag, and which rows of the request these are."""

    tag: str
    parts: list[bytes] = field(default_factory=list)
    rows: list[range] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))

    @property
    def entries(self) -> bytes:
        return b"".join(self.parts)

    def message(self, entries: bytes, compress: str, chunk_id: str | None) -> bytes:
        """The message.

        entries   as they come out of `compress`
        chunk_id  what the receiver is to acknowledge it by; None: it is not asked to
        """
        options: dict[str, int | str] = {"size": sum(map(len, self.rows))}
        if chunk_id is not None:
            options["chunk"] = chunk_id
        if compress != "none":
            options["compressed"] = compress
        # An array of three; the entries as bin 32, not copied by the packer.
        head = b"\x93" + _text(self.tag) + b"\xc6" + len(entries).to_bytes(4, "big")
        return b"".join((head, entries, msgpack.packb(options)))


def chunks(
    batches: Sequence[Batch], tag: Callable[[Container], str], most: int = CHUNK_BYTES
) -> tuple[list[Chunk], list[int]]:
    """The records by tag, in order, cut to `most` bytes of entries; and the rows of those that no chunk takes."""
    made, latest, too_large, row = list[Chunk](), dict[str, Chunk](), list[int](), 0
    for batch in batches:
        name = tag(batch.container)
        for piece, encoded in _pieces(batch, most):
            rows = range(row, row := row + len(piece))
            if len(encoded) > most:
                too_large += rows
                continue
            chunk = latest.get(name)
            if chunk is None or chunk.size + len(encoded) > most:
                chunk = latest[name] = Chunk(name)
                made.append(chunk)
            chunk.parts.append(encoded)
            chunk.rows.append(rows)
    return made, too_large


def _pieces(batch: Batch, most: int) -> Iterator[tuple[Batch, bytes]]:
    """A batch and its entries, or where they are too large for one chunk, each half's."""
    encoded = entries(batch)
    if len(encoded) <= most or len(batch) <= 1:
        yield batch, encoded
        return
    middle = len(batch) // 2
    yield from _pieces(batch.rows(0, middle), most)
    yield from _pieces(batch.rows(middle, len(batch)), most)


def entries(batch: Batch) -> bytes:
    """Every record as an entry, one after the other; kept in `batch.encoded`."""
    encoded = batch.encoded.get(FORMAT)
    if encoded is None:
        encoded = batch.encoded[FORMAT] = _encode(batch) if len(batch) else b""
    return encoded


def _encode(batch: Batch) -> bytes:
    logs, ids = cleaned(batch), batch.ids()
    sizes = list(map(len, logs))
    heads = {size: _text_head(size) for size in set(sizes)}
    id_heads = {size: _text(_RECORD_ID) + _TEXT8 + bytes((size,)) for size in set(map(len, ids))}
    opening, times = _times(batch.timestamps)
    parts = [opening, b"", _constant(batch), b"", b"", b"", b""] * len(batch)
    parts[1::_PARTS] = times
    parts[3::_PARTS] = map(heads.__getitem__, sizes)
    parts[4::_PARTS] = logs
    parts[5::_PARTS] = [id_heads[len(id_)] for id_ in ids]
    parts[6::_PARTS] = ids
    if batch.levels or batch.fields:
        known: dict[tuple[bool, bool, bool], bytes] = {}
        for row, (level, fields) in enumerate(zip(*parsed(batch), strict=True)):
            kind = (row in batch.truncated, level > 0, fields is not None)
            if kind not in known:
                names = zip((_TRUNCATED, _LEVEL, _FIELDS), kind, strict=True)
                known[kind] = _constant(batch, *(name for name, there in names if there))
            parts[_PARTS * row + 2] = known[kind]
            parts[_PARTS * row + 6] += _LEVELS[level] + _map(fields)
        return b"".join(parts)
    for row in batch.truncated:
        parts[_PARTS * row + 2] = _constant(batch, _TRUNCATED)
    return b"".join(parts)


def _map(fields: bytes | None) -> bytes:
    """The pair of parsed fields."""
    return _text(_FIELDS) + bytes(msgpack.packb(orjson.loads(fields))) if fields is not None else b""


def _times(stamps: Sequence[int]) -> tuple[bytes, list[bytes]]:
    """What stands before each time, and the times, eight bytes each."""
    first, last = min(stamps) // NS, max(stamps) // NS
    if first == last and 0 <= first < _EVENT_TIME_END:
        shift = (first << 32) - first * NS
        opening, kind, column = _EVENT_TIME, "Q", [stamp + shift for stamp in stamps]
    elif first >= 0 and last < _EVENT_TIME_END:
        opening, kind, column = _EVENT_TIME, "Q", [stamp // NS << 32 | stamp % NS for stamp in stamps]
    else:  # before 1970, or after February 2106
        opening, kind, column = _SECONDS, "q", [stamp // NS for stamp in stamps]
    data = struct.pack(f">{len(column)}{kind}", *column)
    return opening, [data[at : at + 8] for at in range(0, len(data), 8)]


def _constant(batch: Batch, *own: str) -> bytes:
    """An entry's map, from its head to the key of the log's text. `own`: pairs that not every entry has."""
    constants, key = batch.container.constants, (FORMAT, batch.stream, *own)
    constant = constants.get(key)
    if constant is None:
        pairs = _pairs(batch.container, batch.stream) | ({_TRUNCATED: "true"} if _TRUNCATED in own else {})
        later = {_LOG, _RECORD_ID, *own} - {_TRUNCATED}
        pairs = {name: value for name, value in pairs.items() if name not in later}
        packer = msgpack.Packer(autoreset=False)
        packer.pack_map_header(len(pairs) + len(later))
        constant = packer.bytes() + b"".join(_text(name) + _text(value) for name, value in pairs.items())
        constant = constants[key] = constant + _text(_LOG)
    return constant


def _pairs(container: Container, stream: Stream) -> dict[str, str]:
    """The constant pairs: the driver's own, then labels and variables as it sends them, then ours."""
    pairs = {
        "container_id": container.id,
        "container_name": f"/{container.name}",
        "source": stream.value,
    }
    ours = {
        "image": container.image,
        "host": container.host,
        "project": container.project,
        "service": container.service,
        **named(container),
    }
    for name, value in [*container.env.items(), *container.labels.items(), *ours.items()]:
        if value is not None and name not in _PER_RECORD:
            pairs.setdefault(name, value)
    return pairs


def _text(value: str) -> bytes:
    data = value.encode()
    return _text_head(len(data)) + data


def _text_head(size: int) -> bytes:
    if size < 32:
        return bytes((0xA0 | size,))
    if size < 1 << 8:
        return _TEXT8 + bytes((size,))
    if size < 1 << 16:
        return b"\xda" + size.to_bytes(2, "big")
    return b"\xdb" + size.to_bytes(4, "big")


_LEVELS = [b"", *(_text(_LEVEL) + _text(level.text) for level in Level)]
