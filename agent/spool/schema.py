"""The file: its tables, how a connection is opened, and what SQLite's errors mean to the spool.

Source: sqlite.org/wal.html, pragma.html (synchronous, auto_vacuum, secure_delete), rescode.html.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.place import Range

log = logging.getLogger(__name__)
FILE = "spool.db"
APPLICATION_ID = 0x444B4659  # "DKFY"
PAGE_BYTES = 8192
#: The log (WAL) is emptied into the file at this many pages, and cut to this size when it was longer.
WAL_PAGES = 1000
BUSY_S = 5.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
#: All but `batches`, a damaged row of which is passed over when it is read.
_SMALL_TABLES = ("progress", "containers", "cursors", "facts", "sinks")

#: What brings a file from each format to the next; the first step begins one. Another layout of a table is a
#: step of its own, and so is another form of what a column holds (rows, cursors, checkpoints): an agent that
#: does not know the form then refuses the file, rather than take what is in it for damaged.
STEPS = (
    """
    CREATE TABLE progress (last_seq INTEGER NOT NULL);
    INSERT INTO progress VALUES (0);
    CREATE TABLE containers (
        id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL UNIQUE, constants BLOB NOT NULL);
    CREATE TABLE batches (
        seq INTEGER PRIMARY KEY, container INTEGER NOT NULL, stream TEXT NOT NULL, records INTEGER NOT NULL,
        bytes INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE cursors (container TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE facts (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE sinks (
        name TEXT PRIMARY KEY, position INTEGER NOT NULL, beyond BLOB NOT NULL DEFAULT x'', checkpoint BLOB,
        gone_ns INTEGER) WITHOUT ROWID;
""",
)


class Damaged(Exception):
    """The file is no longer a database that can be relied upon."""


class Unwritable(Exception):
    """The disk is full, read-only or failing: later it may do again."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may write; the file is begun when there is none, brought up when it is of an older format.

    Raises Damaged, Unwritable, and SpoolError for a file of a newer format or of something else, which is
    left as it is.
    """
    with mapped_errors():
        if path.exists() and path.stat().st_size:
            connect_to_read(path).close()
        path.touch(mode=0o600)  # SQLite gives its -wal and -shm the same
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            _prepare(db, path)
            _check_small_tables(db)
        except BaseException:
            db.close()
            raise
        return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that never writes. Raises as `connect` does; also when there is no file: Unwritable."""
    with mapped_errors():
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None
        )
        try:
            _check(db, path)
        except BaseException:
            db.close()
            raise
        return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != APPLICATION_ID:
        raise SpoolError(f"{path} is not a spool of Dockferry: give DOCKFERRY_STATE a directory of its own")
    if (found := _format(db)) > len(STEPS):
        raise SpoolError(
            f"{path} was written by a newer Dockferry (format {found}, this one knows {len(STEPS)}) and is left "
            "as it is: start that version again, or set the file aside, which loses what waits in it"
        )


def _format(db: sqlite3.Connection) -> int:
    """The format of the file; 0: it is not begun."""
    (number,) = db.execute("PRAGMA user_version").fetchone()
    return int(number)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = OFF")
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    db.execute(f"PRAGMA journal_size_limit = {WAL_PAGES * PAGE_BYTES}")
    found = _format(db)
    if found == len(STEPS):
        return
    with transaction(db):
        for statement in ";".join(STEPS[found:]).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
    if found:
        log.info(
            "%s was of format %d and is now of format %d: no older Dockferry reads it",
            path,
            found,
            len(STEPS),
        )


def _check_small_tables(db: sqlite3.Connection) -> None:
    """SQLite reads pages that a file has lost as zeros: rows without a name would be believed."""
    for table in _SMALL_TABLES:
        (found,) = db.execute(f"PRAGMA quick_check({table})").fetchone()
        if found != "ok":
            raise Damaged(found.replace("\n", " "))


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing. Raises Damaged, Unwritable."""
    with mapped_errors():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors, and a failing disk may refuse even this.
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def mapped_errors() -> Iterator[None]:
    """SQLite's errors as ours. Those that are mistakes in this package stay what they are."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise Damaged(str(error)) from error
        if isinstance(error, sqlite3.OperationalError):
            raise Unwritable(str(error)) from error
        raise
    except OSError as error:
        raise Unwritable(str(error)) from error


def pack(ranges: Iterable[Range]) -> bytes:
    """Ranges as the column `sinks.beyond` keeps them."""
    return array("q", chain.from_iterable(ranges)).tobytes()


def unpack(data: bytes) -> tuple[Range, ...]:
    """The inverse of `pack`."""
    numbers: array[int] = array("q")
    numbers.frombytes(data)
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
