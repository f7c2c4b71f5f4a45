"""Shelf: the reading side of the file, as plain calls that block. One thread uses it; it never writes.

Each call is one short read: a long one would keep the log (WAL) from being emptied.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.batch import Container, Stream
from agent.errors import SpoolError
from agent.spool import schema
from agent.spool.codec import Unreadable, decode
from agent.spool.place import LAST, Lost, Range, Slot, Tally, wants

#: Rows looked at in one read, so that a sink that others' batches are not for does not hold it open.
SCAN_ROWS = 4096
_COLUMNS = "seq, container, records, bytes, first_ns, last_ns, length(data), stream"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row without its body. `row_bytes`: of the body, as stored."""

    seq: int
    container: Container
    records: int
    bytes: int
    first_ns: int
    last_ns: int
    row_bytes: int
    stream: Stream

    def lost(self, sink: str) -> Lost:
        """The row as a loss of this sink."""
        return Lost(sink, self.container.name, self.records, self.first_ns, self.last_ns)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one read found. `scanned`: every row up to there was looked at."""

    slots: Sequence[Slot]
    unreadable: Sequence[tuple[Waiting, str]]
    scanned: int


@dataclass(frozen=True, slots=True)
class SinkBacklog:
    """What waits on disk for one sink; the times are of its oldest and newest record (ns)."""

    name: str
    records: int
    bytes: int
    oldest_ns: int | None
    newest_ns: int | None


class Shelf:
    """Reads rows. Calls raise Damaged and Unwritable (here: the disk does not answer)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._containers: dict[int, Container] = {}

    def read(
        self, sink: str, span: Range, *, skip: Sequence[Range], records: int, bytes: int, size: int
    ) -> Piece:
        """A sink's batches within `span` (ends included), until they reach a bound.

        skip    ranges that it has done already
        size    bound on the bytes in memory
        """
        slots: list[Slot] = []
        unreadable: list[tuple[Waiting, str]] = []
        total, held = Tally(), 0
        scanned = span[1]
        rows = self._rows("seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", (*span, SCAN_ROWS))
        with contextlib.closing(rows):
            for looked, row in enumerate(rows, 1):
                scanned = span[1] if looked < SCAN_ROWS else row.seq
                if not wants(row.container, sink) or any(first <= row.seq <= last for first, last in skip):
                    continue
                try:
                    slot = Slot.of(row.seq, decode(self._body(row.seq), row.container, row.stream))
                except Unreadable as error:
                    unreadable.append((row, str(error)))
                    continue
                slots.append(slot)
                total.add(slot)
                held += slot.size
                if total.records >= records or total.bytes >= bytes or held >= size:
                    scanned = row.seq
                    break
        return Piece(slots, unreadable, scanned)

    def oldest(self, amount: int) -> list[Waiting]:
        """The oldest rows that together have this many bytes on disk."""
        found: list[Waiting] = []
        with contextlib.closing(self._rows("1 ORDER BY seq", ())) as rows:
            for row in rows:
                found.append(row)
                amount -= row.row_bytes
                if amount <= 0:
                    break
        return found

    def backlog(self, name: str, position: int, beyond: Sequence[Range]) -> SinkBacklog:
        """What waits for a sink at this position. Looks at every row behind it."""
        with schema.mapped_errors():
            db = self._open()
            others = [
                str(row_id)
                for row_id, constants in db.execute("SELECT id, constants FROM containers")
                if not wants(Container.from_json(constants), name)
            ]
            query = (
                "SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0), min(first_ns), max(last_ns) "  # noqa: S608
                f"FROM batches WHERE seq BETWEEN ? AND ? AND container NOT IN ({','.join(others)})"
            )
            waiting = db.execute(query, (position + 1, LAST)).fetchone()
            done = [db.execute(query, span).fetchone() for span in beyond]
        return SinkBacklog(
            name,
            waiting[0] - sum(row[0] for row in done),
            waiting[1] - sum(row[1] for row in done),
            oldest_ns=waiting[2],
            newest_ns=waiting[3],
        )

    def positions(self) -> list[tuple[str, int, tuple[Range, ...]]]:
        """Every sink's saved place, those that are gone left out."""
        with schema.mapped_errors():
            rows = self._open().execute(
                "SELECT name, position, beyond FROM sinks WHERE gone_ns IS NULL ORDER BY name"
            )
            return [(name, seq, schema.unpack(beyond)) for name, seq, beyond in rows]

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        self._containers.clear()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = schema.connect_to_read(self._path)
        return self._db

    def _rows(self, where: str, values: tuple[int, ...]) -> Generator[Waiting, None, None]:
        with schema.mapped_errors():
            db = self._open()
            rows = db.execute(f"SELECT {_COLUMNS} FROM batches WHERE {where}", values)  # noqa: S608 - of our own
            with contextlib.closing(rows):
                for seq, container, records, size, first_ns, last_ns, row_bytes, stream in rows:
                    who = self._container(db, container)
                    yield Waiting(seq, who, records, size, first_ns, last_ns, row_bytes, Stream(stream))

    def _body(self, seq: int) -> bytes:
        with schema.mapped_errors():
            row = self._open().execute("SELECT data FROM batches WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise Unreadable("the row is gone")
        return bytes(row[0])

    def _container(self, db: sqlite3.Connection, row_id: int) -> Container:
        container = self._containers.get(row_id)
        if container is None:
            if len(self._containers) > SCAN_ROWS:
                self._containers.clear()
            (constants,) = db.execute("SELECT constants FROM containers WHERE id = ?", (row_id,)).fetchone()
            container = self._containers[row_id] = Container.from_json(constants)
        return container


def inspect(directory: Path) -> list[SinkBacklog]:
    """What waits for which sink, by name; nothing where there is no spool. Read-only, also beside an agent.

    Raises SpoolError when the file cannot be read.
    """
    path = directory / schema.FILE
    if not path.exists():
        return []
    shelf = Shelf(path)
    try:
        return [shelf.backlog(*place) for place in shelf.positions()]
    except (schema.Damaged, schema.Unwritable) as error:
        raise SpoolError(f"{path} cannot be read: {error}") from error
    finally:
        shelf.close()
