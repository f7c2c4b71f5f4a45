"""A batch as the bytes of one row, and back. Pure; the row's other columns are the store's.

Layout, little-endian: version (1 byte), flags (1), CRC-32 of what follows (4), length of the body (4), body.
The body, compressed with zstd level 1 where flag 1 says so, is four or more columns one after the other:

    number of records n                     u32
    timestamps                              n × i64, ns
    lengths of the messages                 n × u32
    ordinals, with flag 2                   n × u32
    truncated rows, with flag 4             u32 count, then count × u32
    levels, with flag 8                     n × u8
    the Engine's timestamps, with flag 16   n × i64, ns
    lengths of the fields, with flag 32     n × u32, 0 where there are none
    messages, joined, then the fields       the rest

The container and the stream are not in it: a damaged body can then still be reported with its container.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterable
from itertools import accumulate, pairwise

import cramjam

from agent.batch import Batch, Container, Stream

VERSION = 1
_COMPRESSED, _ORDINALS, _TRUNCATED, _LEVELS, _READ_AT, _FIELDS = 1, 2, 4, 8, 16, 32
_HEAD = struct.Struct("<BBII")
_U32 = struct.Struct("<I")
#: Below this a zstd frame costs more time than the bytes it saves.
COMPRESS_FROM_BYTES = 512
_LEVEL = 1


class Unreadable(Exception):
    """These bytes are not, or no longer, what `encode` made."""


def encode(batch: Batch) -> bytes:
    """The batch's columns as one row's bytes. Encodings and `times` are left out: they can be made again."""
    flags = 0
    parts = [_U32.pack(len(batch)), _column("q", batch.timestamps), _column("I", map(len, batch.messages))]
    if batch.ordinals is not None:
        flags |= _ORDINALS
        parts.append(_column("I", batch.ordinals))
    if batch.truncated:
        flags |= _TRUNCATED
        parts += _U32.pack(len(batch.truncated)), _column("I", sorted(batch.truncated))
    if batch.levels is not None:
        flags |= _LEVELS
        parts.append(batch.levels)
    if batch.read_at is not None:
        flags |= _READ_AT
        parts.append(_column("q", batch.read_at))
    fields = [text or b"" for text in batch.fields] if batch.fields is not None else []
    if fields:
        flags |= _FIELDS
        parts.append(_column("I", map(len, fields)))
    parts += batch.messages
    parts += fields
    body = b"".join(parts)
    length = len(body)
    if length >= COMPRESS_FROM_BYTES:
        compressed = bytes(cramjam.zstd.compress(body, level=_LEVEL))
        if len(compressed) < length:
            flags |= _COMPRESSED
            body = compressed
    return _HEAD.pack(VERSION, flags, zlib.crc32(body), length) + body


def decode(data: bytes, container: Container, stream: Stream) -> Batch:
    """The inverse of `encode`. Raises Unreadable, whatever is wrong with the bytes."""
    if len(data) < _HEAD.size:
        raise Unreadable("cut short")
    version, flags, checksum, length = _HEAD.unpack_from(data)
    if version != VERSION:
        raise Unreadable(f"row format {version} is not known")
    body = data[_HEAD.size :]
    if zlib.crc32(body) != checksum:
        raise Unreadable("checksum differs")
    if flags & _COMPRESSED:
        try:
            body = bytes(cramjam.zstd.decompress(body, output_len=length))
        except cramjam.DecompressionError as error:
            raise Unreadable(str(error)) from error
    if len(body) != length:
        raise Unreadable("length differs")
    try:
        return _Columns(body).batch(flags, container, stream)
    except struct.error as error:
        raise Unreadable(str(error)) from error


class _Columns:
    """Reads one column after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def batch(self, flags: int, container: Container, stream: Stream) -> Batch:
        count = self._number()
        timestamps = self._column("q", count)
        lengths = self._column("I", count)
        ordinals = self._column("I", count).tolist() if flags & _ORDINALS else None
        truncated = frozenset(self._column("I", self._number())) if flags & _TRUNCATED else frozenset()
        levels = self._column("B", count).tobytes() if flags & _LEVELS else None
        read_at = self._column("q", count).tolist() if flags & _READ_AT else None
        lengths_of_fields = self._column("I", count) if flags & _FIELDS else None
        messages = self._texts(lengths)
        fields = [text or None for text in self._texts(lengths_of_fields)] if lengths_of_fields else None
        if self._at != len(self._body):
            raise Unreadable("the messages' lengths do not add up")
        return Batch(
            container,
            stream,
            timestamps.tolist(),
            messages,
            ordinals,
            truncated,
            levels=levels,
            fields=fields,
            read_at=read_at,
        )

    def _texts(self, lengths: array[int]) -> list[bytes]:
        body, ends = self._body, list(accumulate(lengths, initial=self._at))
        self._at = ends[-1]
        if self._at > len(body):
            raise Unreadable("the messages' lengths do not add up")
        return [body[start:end] for start, end in pairwise(ends)]

    def _number(self) -> int:
        (number,) = _U32.unpack_from(self._body, self._at)
        self._at += _U32.size
        return int(number)

    def _column(self, kind: str, count: int) -> array[int]:
        column: array[int] = array(kind)
        end = self._at + count * column.itemsize
        if end > len(self._body):
            raise Unreadable("a column is cut short")
        column.frombytes(self._body[self._at : end])
        self._at = end
        return column if sys.byteorder == "little" else _swapped(column)


def _column(kind: str, values: Iterable[int]) -> bytes:
    column: array[int] = array(kind, values)
    return (column if sys.byteorder == "little" else _swapped(column)).tobytes()


def _swapped(column: array[int]) -> array[int]:
    column.byteswap()
    return column
