"""The record that may go on, and its bytes as they are saved beside the cursor.

Layout, little-endian: version (1 byte), CRC-32 of what follows (4), the grammar's digest (4), then for stdout and
for stderr: flags (1), state (16); and with flag 1, something is held:

    timestamp of the first line, ns             i64
    its place among the lines of that time      u32
    number of lines                             u32
    their lengths                               n × u32
    the lines, joined

Flag 2: one of the lines was cut before it came here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from agent.batch import Batch, Container, Stream
from agent.pipeline.multiline.lines import DONE

_VERSION = 1
_HEAD = struct.Struct("<BI")
_DIGEST = struct.Struct("<I")
_STREAM = struct.Struct("<B16s")
_RECORD = struct.Struct("<qII")
_HELD, _CUT = 1, 2
STREAMS = (Stream.STDOUT, Stream.STDERR)


@dataclass(slots=True)
class Held:
    """What is held of one stream.

    first  the first line, as a batch; None: nothing is held
    lines  the texts of all, of `size` bytes when joined
    cut    whether one of them was cut before it came here
    state  how it may go on; or what went on before, that was too long to hold or waited too long
    came   when the last line came, monotonic; None: before the agent was started
    """

    first: Batch | None = None
    lines: list[bytes] = field(default_factory=list)
    size: int = -1
    cut: bool = False
    state: int = DONE
    came: float | None = None

    def add(self, batch: Batch, row: int) -> None:
        """Hold one more line."""
        message = batch.messages[row]
        if self.first is None:
            self.first = batch.rows(row, row + 1)
        self.lines.append(message)
        self.size += 1 + len(message)
        self.cut = self.cut or row in batch.truncated

    def take(self, *, goes_on: bool = False) -> Iterator[Batch]:
        """The record, if there is one; nothing is held then. `goes_on`: the rest comes as another."""
        first, lines, cut = self.first, self.lines, self.cut or goes_on
        if first is not None:
            self.first, self.lines, self.size, self.cut = None, [], -1, False
            first.messages = [b"\n".join(lines)]
            first.truncated = frozenset((0,)) if cut else frozenset()
            yield first


def to_bytes(digest: int, held: Mapping[Stream, Held]) -> bytes:
    """What is held of both streams; empty if that is nothing."""
    if not any(one.state or one.first for one in held.values()):
        return b""
    parts = [_DIGEST.pack(digest)]
    for stream in STREAMS:
        one = held[stream]
        flags = (_HELD if one.first is not None else 0) | (_CUT if one.cut else 0)
        parts.append(_STREAM.pack(flags, one.state.to_bytes(16, "little")))
        if one.first is not None:
            place = one.first.ordinals[0] if one.first.ordinals is not None else 0
            parts.append(_RECORD.pack(one.first.timestamps[0], place, len(one.lines)))
            parts.append(struct.pack(f"<{len(one.lines)}I", *map(len, one.lines)))
            parts += one.lines
    body = b"".join(parts)
    return _HEAD.pack(_VERSION, zlib.crc32(body)) + body


def from_bytes(digest: int, data: bytes, container: Container) -> dict[Stream, Held]:
    """The inverse. A state of another grammar is left out: what it was of has ended. Raises ValueError."""
    held = {stream: Held() for stream in STREAMS}
    if not data:
        return held
    body = data[_HEAD.size :]
    if len(data) < _HEAD.size or _HEAD.unpack_from(data) != (_VERSION, zlib.crc32(body)):
        raise ValueError("what was held is damaged")
    try:
        same = _DIGEST.unpack_from(body) == (digest,)
        at = _DIGEST.size
        for stream in STREAMS:
            at = _restore(held[stream], body, at, container, stream)
            held[stream].state = held[stream].state if same else DONE
    except struct.error as error:
        raise ValueError(f"what was held is damaged: {error}") from None
    return held


def _restore(held: Held, body: bytes, at: int, container: Container, stream: Stream) -> int:
    """Fill `held` from what begins there; where it ends. Raises struct.error."""
    flags, state = _STREAM.unpack_from(body, at)
    at += _STREAM.size
    held.state, held.cut = int.from_bytes(state, "little"), bool(flags & _CUT)
    if not flags & _HELD:
        return at
    stamp, place, count = _RECORD.unpack_from(body, at)
    at += _RECORD.size
    lengths: tuple[int, ...] = struct.unpack_from(f"<{count}I", body, at)
    ends: list[int] = list(accumulate(lengths, initial=at + 4 * count))
    if ends[-1] > len(body):
        raise struct.error("a line is cut short")
    held.lines = [body[start:end] for start, end in pairwise(ends)]
    held.size = sum(lengths) + count - 1
    held.first = Batch(container, stream, [stamp], held.lines[:1], [place] if place else None)
    return ends[-1]
