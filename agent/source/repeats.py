"""Repeats of Engines before 23, taken out again. Sans-I/O.

When a file rotates under a follower, those Engines may begin the new file again after they sent some of it:
one record or the whole file, just as it came before (measured on 20.10: up to 46,000 lines in one run, and one
line at nearly each rotation of a slow writer). So a record that does not go forward in its stream's time, and
equals by stream, time and text one that came, is a repeat: those Engines stamp lines in nanoseconds. A file may
begin in the middle of a long line; then what is sent again is the line's last pieces alone. Any other is new.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import lt

from agent.source.cursor import by_stream
from agent.source.frames import PIECE_BYTES
from agent.source.lines import Records

_ENCODED_OVERHEAD = 60  # what a record takes in the Engine's file beside its text, at the least


@dataclass(slots=True)
class _Past:
    """Some records that came: a key each, and the bytes they take in the Engine's file, about."""

    keys: array[int]
    size: int


class Repeats:
    """Remembers about as many records as two files of the Engine hold, 8 bytes each.

    file_bytes  the Engine's `max-size`
    """

    def __init__(self, file_bytes: int) -> None:
        self._limit = 2 * file_bytes
        self._past: deque[_Past] = deque()
        self._size = 0
        self._known: set[int] | None = None
        self._newest = [0, 0]

    def leave_out(self, records: Records) -> Records:
        """The records that did not come before. Call `remember` once they are safe."""
        stamps = records.stamps
        if not stamps or (stamps[0] > max(self._newest) and all(map(lt, stamps, islice(stamps, 1, None)))):
            return records
        newest = list(self._newest)
        rows: list[int] = []
        fresh: set[int] = set()
        for row, (stream, stamp, message, key) in enumerate(
            zip(records.streams, stamps, records.messages, _keys_of(records), strict=True)
        ):
            if stamp <= newest[stream - 1] and (key in fresh or key in self._keys()):
                continue
            newest[stream - 1] = max(stamp, newest[stream - 1])
            fresh.add(key)
            fresh.update(_tails(stream, stamp, message))
            rows.append(row)
        return records if len(rows) == len(records) else records.take(rows)

    def remember(self, records: Records) -> None:
        """These records came, and were kept."""
        if not records.messages:
            return
        for part in by_stream(records):
            stream = part.streams[0]
            self._newest[stream - 1] = max(self._newest[stream - 1], *part.stamps)
        size = sum(map(len, records.messages)) + len(records) * _ENCODED_OVERHEAD
        keys = array("q", _keys_of(records))
        for row in zip(records.streams, records.stamps, records.messages, strict=True):
            if len(row[2]) >= PIECE_BYTES:
                keys.extend(_tails(*row))
        self._past.append(_Past(keys, size))
        self._size += size
        self._known = None
        while self._size - self._past[0].size > self._limit:
            self._size -= self._past.popleft().size

    def _keys(self) -> set[int]:
        if self._known is None:
            self._known = {key for past in self._past for key in past.keys}
        return self._known


def _keys_of(records: Records) -> list[int]:
    return list(map(hash, zip(records.streams, records.stamps, records.messages, strict=True)))


def _tails(stream: int, stamp: int, message: bytes) -> Iterator[int]:
    """Keys of what may be sent again of a line that came in pieces: all but the first, all but two, and so on."""
    for at in range(PIECE_BYTES, len(message) + 1, PIECE_BYTES):
        yield hash((stream, stamp, message[at:]))
