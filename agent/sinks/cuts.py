"""Cuts: which rows went into which request, so that after a kill they go into the same one again.

For sinks whose receiver keeps a request as a whole, under a name that follows from its first record: sent once
more with the same rows it replaces itself, and every record is there once. How requests are cut depends on what
was waiting at the time, so after a kill they would be cut elsewhere. Therefore, before a request is made, the
position is saved together with a checkpoint that says

    now    the first record's id and the number of rows of the request about to be made
    past   the same of the parts of entries before it that are delivered and may yet lie behind the position: an
           entry that did not fit one request is done only with its last part

What is given after a kill begins with an entry that was not done. If that begins with the first record of `now`,
the same number of rows makes the same request again; if with one of `past`, those up to `now` are there already;
if with another, the position is past them all.

Requests must be made one at a time. A pure state machine, without I/O: see docs/decisions/objects-once.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import orjson

from agent.batch import Batch
from agent.sinks.parcel import Parcel, Part

#: The id of a part's first record, and its number of rows.
Mark: TypeAlias = tuple[str, int]


class Cuts:
    """The state, begun with what `begin` or `settled` gave last; None: nothing was ever delivered."""

    def __init__(self, checkpoint: bytes | None = None) -> None:
        self._past: list[Mark] = []
        self._now: list[Mark] = []
        self._there = 0
        if checkpoint is not None:
            saved = orjson.loads(checkpoint)
            self._past = [(name, rows) for name, rows in saved["past"]]
            self._now = [(name, rows) for name, rows in saved["now"]]

    def requests(self, batches: Sequence[Batch]) -> list[Sequence[Batch]]:
        """The requests to make of these rows, in order: one; after a kill perhaps none, or two.

        What they leave out is at the beginning, and there already.
        """
        parcel = Parcel(tuple(Part.of(0, batch) for batch in batches))
        size = len(parcel)
        if not self._there:
            self._there = self._delivered(first_id(batches[0]))
        start = min(self._there, size)
        self._there -= start
        if start == size:
            return []
        rest = parcel.slice(start, size)
        stop = start + self._rows_of_now(first_id(rest.batches[0]))
        if not start < stop < size:
            return [rest.batches]
        return [parcel.slice(start, stop).batches, parcel.slice(stop, size).batches]

    def begin(self, batches: Sequence[Batch]) -> bytes:
        """This request is about to be made: the checkpoint to save before."""
        marks = [(first_id(batch), len(batch)) for batch in batches]
        if self._now and self._now[0][0] != marks[0][0]:
            self.end()  # as a dead letter, perhaps: its rows do not come again
        self._now = marks
        return self._encode()

    def end(self) -> None:
        """The request was delivered."""
        self._past += self._now
        self._now = []

    def settled(self) -> bytes:
        """The position has passed an entry: the checkpoint that goes with it.

        Only the last part delivered may be of an entry that goes on.
        """
        if not self._there:
            self._past = self._past[-1:]
        return self._encode()

    def _delivered(self, first: str) -> int:
        """How many rows from that one on are delivered."""
        for place, (name, _) in enumerate(self._past):
            if name == first:
                return sum(rows for _, rows in self._past[place:])
        return 0

    def _rows_of_now(self, first: str) -> int:
        return sum(rows for _, rows in self._now) if self._now and self._now[0][0] == first else 0

    def _encode(self) -> bytes:
        now = [(self._now[0][0], sum(rows for _, rows in self._now))] if self._now else []
        return orjson.dumps({"past": self._past, "now": now})


def first_id(batch: Batch) -> str:
    """The id of its first record."""
    return batch.rows(0, 1).ids()[0].decode()
