"""Store: the writing side of the file, as plain calls that block. One thread uses it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.batch import NS, Container
from agent.spool import schema
from agent.spool.codec import encode
from agent.spool.place import Position, Range, Slot

#: Free pages beyond this are given back to the file system, some after each deletion.
KEEP_FREE_PAGES = 2048
VACUUM_PAGES = 512
#: Containers that no batch needs any more are looked for when this many are new.
PRUNE_AFTER = 1000
GONE_KEPT_NS = 7 * 24 * 3600 * NS


@dataclass(slots=True)
class Changes:
    """What one transaction writes. A None among the cursors deletes it; ranges include their ends.

    passed  all sinks have done the batches up to this number
    """

    last_seq: int
    passed: int = 0
    batches: Sequence[Slot] = ()
    cursors: dict[str, bytes | None] = field(default_factory=dict)
    facts: dict[str, bytes] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    delete: Sequence[Range] = ()


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a file held when it was opened."""

    last_seq: int
    cursors: Mapping[str, bytes]
    facts: Mapping[str, bytes]
    positions: Mapping[str, Position]
    added: Sequence[str]
    returned: Sequence[str]
    removed: Mapping[str, Position]


class Store:
    """The one writer. `live_bytes`: of the rows there are. Calls raise Damaged and Unwritable."""

    def __init__(self, path: Path) -> None:
        """Open or begin the file. Raises SpoolError too: a newer format."""
        self._path = path
        self._row_ids: dict[str, int] = {}
        self._known: dict[Container, int] = {}
        self._db: sqlite3.Connection | None = schema.connect(path)
        try:
            with schema.transaction(self._db) as db:
                self._prune(db)
                (self.live_bytes,) = db.execute(
                    "SELECT coalesce(sum(length(data)), 0) FROM batches"
                ).fetchone()
        except BaseException:
            self.close()
            raise

    def recover(self, names: Sequence[str], now_ns: int) -> Recovered:
        """What the file knows, and these sinks from now on. A new one begins at the end."""
        with schema.transaction(self._open()) as db:
            (last_seq,) = db.execute("SELECT last_seq FROM progress").fetchone()
            rows = db.execute("SELECT name, position, beyond, checkpoint, gone_ns FROM sinks").fetchall()
            known = {
                name: Position(seq, schema.unpack(beyond), point) for name, seq, beyond, point, _ in rows
            }
            gone = {name for name, *_, gone_ns in rows if gone_ns is not None}
            added = [name for name in names if name not in known]
            returned = [name for name in names if name in gone]
            removed = {name: place for name, place in known.items() if name not in names and name not in gone}
            db.executemany("INSERT INTO sinks (name, position) VALUES (?, ?)", [(n, last_seq) for n in added])
            db.executemany("UPDATE sinks SET gone_ns = NULL WHERE name = ?", [(n,) for n in returned])
            db.executemany("UPDATE sinks SET gone_ns = ? WHERE name = ?", [(now_ns, n) for n in removed])
            db.execute("DELETE FROM sinks WHERE gone_ns < ?", (now_ns - GONE_KEPT_NS,))
            return Recovered(
                last_seq=last_seq,
                cursors=dict(db.execute("SELECT container, value FROM cursors")),
                facts=dict(db.execute("SELECT key, value FROM facts")),
                positions={name: known.get(name, Position(last_seq)) for name in names},
                added=added,
                returned=returned,
                removed=removed,
            )

    def apply(self, changes: Changes) -> None:
        """Write all of it, or nothing."""
        bodies = [encode(slot.batch) for slot in changes.batches]
        try:
            with schema.transaction(self._open()) as db:
                freed = self._write(db, changes, bodies)
        except BaseException:
            self._forget_containers()  # the rows they stand for may not have been written
            raise
        self.live_bytes += sum(map(len, bodies)) - freed
        if freed:
            self._tidy()

    def close(self) -> None:
        """Let go of the file. The last to do so empties the log (WAL) into it."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def reopen(self) -> None:
        """A new connection: after some disk errors the old one stays unusable."""
        self.close()
        self._open()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = schema.connect(self._path)
        return self._db

    def _write(self, db: sqlite3.Connection, changes: Changes, bodies: Sequence[bytes]) -> int:
        freed = sum(self._delete(db, span) for span in changes.delete)
        # REPLACE: a commit that failed may have been written all the same, and is tried again.
        db.executemany(
            "REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [self._row(db, slot, body) for slot, body in zip(changes.batches, bodies, strict=True)],
        )
        self._write_small(db, changes)
        return freed

    def _row(self, db: sqlite3.Connection, slot: Slot, body: bytes) -> tuple[object, ...]:
        batch = slot.batch
        container = self._known.get(batch.container) or self._container(db, batch.container)
        return slot.seq, container, batch.stream.value, slot.records, slot.bytes, *slot.span_ns, body

    def _container(self, db: sqlite3.Connection, container: Container) -> int:
        fingerprint = container.fingerprint()
        row_id = self._row_ids.get(fingerprint)
        if row_id is None:
            db.execute(
                "INSERT OR IGNORE INTO containers (fingerprint, constants) VALUES (?, ?)",
                (fingerprint, container.to_json()),
            )
            (row_id,) = db.execute(
                "SELECT id FROM containers WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        self._row_ids[fingerprint] = self._known[container] = row_id
        return int(row_id)

    def _delete(self, db: sqlite3.Connection, span: Range) -> int:
        size = "SELECT coalesce(sum(length(data)), 0) FROM batches WHERE seq BETWEEN ? AND ?"
        (freed,) = db.execute(size, span).fetchone()
        db.execute("DELETE FROM batches WHERE seq BETWEEN ? AND ?", span)
        return int(freed)

    def _write_small(self, db: sqlite3.Connection, changes: Changes) -> None:
        cursors = changes.cursors.items()
        db.executemany(
            "REPLACE INTO cursors VALUES (?, ?)", [pair for pair in cursors if pair[1] is not None]
        )
        db.executemany(
            "DELETE FROM cursors WHERE container = ?", [(name,) for name, value in cursors if value is None]
        )
        db.executemany("REPLACE INTO facts VALUES (?, ?)", changes.facts.items())
        db.executemany(
            "REPLACE INTO sinks (name, position, beyond, checkpoint) VALUES (?, ?, ?, ?)",
            [
                (name, place.seq, schema.pack(place.beyond), place.checkpoint)
                for name, place in changes.positions.items()
            ],
        )
        db.execute("UPDATE progress SET last_seq = max(last_seq, ?)", (changes.last_seq,))

    def _prune(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM containers WHERE id NOT IN (SELECT container FROM batches)")
        self._forget_containers()

    def _forget_containers(self) -> None:
        self._row_ids.clear()
        self._known.clear()

    def _tidy(self) -> None:
        """Give back what grew too large. An error here is none of the commit's: the next one meets it too."""
        with contextlib.suppress(sqlite3.Error, schema.Unwritable, schema.Damaged):
            db = self._open()
            (free,) = db.execute("PRAGMA freelist_count").fetchone()
            if free > KEEP_FREE_PAGES:
                db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
            if len(self._known) > PRUNE_AFTER:
                with schema.transaction(db):
                    self._prune(db)
