"""The file of another version: an older format is brought up to ours, a newer one is left as it is."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.batch import Batch, Stream
from agent.errors import SpoolError
from agent.options import MiB
from agent.source.cursor import Cursor, Heard, Mark
from agent.spool import inspect, schema
from agent.transport.files.checkpoint import Checkpoint
from agent.transport.files.checkpoint import Mark as FileMark
from tests.spool.batches import START_NS, WEB, batch, drained, opened

#: Files as the versions that had these formats wrote them, as SQL: <format>.sql. None is ever made anew.
FORMATS = sorted((Path(__file__).parent / "formats").glob("*.sql"))
FILE = schema.FILE

#: What is in each of them: every kind of column, one row compressed and one not, cursors, a checkpoint, a fact.
PLAIN = batch(0)
FULL = Batch(
    WEB,
    Stream.STDERR,
    [START_NS + 1, START_NS + 1],
    [b"one " + b"x" * 600, b"\xfftwo"],
    ordinals=[0, 1],
    truncated=frozenset({0}),
    levels=b"\x03\x00",
    fields=[None, b'{"a":1}'],
    read_at=[START_NS + 2, START_NS + 3],
)
CURSORS = {
    "a" * 64: Cursor(START_NS, Mark(1, START_NS + 1, 2, "0123456789abcdef"), (3, 4), ended=True),
    "b" * 64: Cursor(5, heard=Heard(((1, 2), ()), ((1,), ()), (START_NS, 0))),
}
CHECKPOINT = Checkpoint([FileMark("/logs/web.ndjson", 12, 345, 678)], ["/logs/web.ndjson.1"])


@pytest.fixture(params=FORMATS, ids=lambda path: f"format-{path.stem}")
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state directory as that version left it."""
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(request.param.read_text("utf-8"))
        db.execute("PRAGMA journal_mode = WAL")
    return tmp_path


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A state directory of a version to come that was killed: its format stands in SQLite's log only."""
    alive, killed = tmp_path / "alive", tmp_path / "killed"
    alive.mkdir()
    schema.connect(alive / FILE).close()
    with closing(sqlite3.connect(alive / FILE)) as db:
        db.execute("PRAGMA user_version = 99")
        shutil.copytree(alive, killed)
    return killed


def columns(made: Batch) -> tuple[object, ...]:
    """All that a row has, in one comparable piece."""
    return (
        *(
            made.container.to_json(),
            made.stream,
            list(made.timestamps),
            list(made.messages),
            made.truncated,
            made.levels,
        ),
        *(None if column is None else list(column) for column in (made.ordinals, made.fields, made.read_at)),
    )


def tables(path: Path) -> set[tuple[str, str]]:
    """Each table's name and definition, whatever its line breaks."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    return {(name, " ".join(sql.split())) for name, sql in rows}


def number_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (number,) = db.execute("PRAGMA user_version").fetchone()
    return int(number)


def test_there_is_a_file_of_every_format() -> None:
    """Whoever adds a step adds the file that the version before it wrote, and one of the new format."""
    assert [path.stem for path in FORMATS] == [str(number + 1) for number in range(len(schema.STEPS))]


async def test_what_an_older_version_kept_is_all_there(older: Path) -> None:
    """Cursors, positions, checkpoint, facts, and each batch in each column; a sink that had passed one is past it."""
    assert [(each.name, each.records) for each in inspect(older)] == [("late", 5), ("quick", 2)]
    async with opened(older, "quick", "late") as spool:
        assert {name: Cursor.from_bytes(value) for name, value in spool.cursors.items()} == CURSORS
        assert spool.recall("epoch") == b"fact"
        assert Checkpoint.from_json(spool.reader("quick").checkpoint or b"") == CHECKPOINT
        late = await spool.reader("late").fill(records=5, bytes=MiB, age=0)
        assert [columns(entry.batch) for entry in late] == [columns(PLAIN), columns(FULL)]
        quick = await spool.reader("quick").fill(records=5, bytes=MiB, age=0)
        assert [columns(entry.batch) for entry in quick] == [columns(FULL)]


def test_an_older_file_becomes_as_one_begun_today(older: Path) -> None:
    """Table by table: a table's definition is changed by a step, not in place."""
    begun = older / "begun.db"
    schema.connect(begun).close()
    schema.connect(older / FILE).close()
    assert tables(older / FILE) == tables(begun)
    assert number_of(older / FILE) == number_of(begun) == len(schema.STEPS)


async def test_the_next_version_takes_what_this_one_keeps_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And then this one refuses what the next has made of it."""
    caplog.set_level(logging.INFO)
    known = schema.STEPS
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(0), batch(1)], {"id": b"cursor"})
    assert "format" not in caplog.text
    step = "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('new')"
    monkeypatch.setattr(schema, "STEPS", (*known, step))
    async with opened(tmp_path, "a") as spool:
        assert spool.cursors == {"id": b"cursor"}
        spool.seal()
        assert await drained(spool.reader("a")) == [0, 1]
    assert f"was of format {len(known)} and is now of format {len(known) + 1}" in caplog.text
    assert "notes" in {name for name, _ in tables(tmp_path / FILE)}
    monkeypatch.setattr(schema, "STEPS", known)
    with pytest.raises(SpoolError, match="newer Dockferry"):
        async with opened(tmp_path, "a"):
            pass


async def test_a_step_that_fails_half_way_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the older version can be started again."""
    known = schema.STEPS
    async with opened(tmp_path, "a") as spool:
        await spool.put([batch(0)])
    step = "DROP TABLE cursors; DELETE FROM batches; INSERT INTO nowhere VALUES (1)"
    monkeypatch.setattr(schema, "STEPS", (*known, step))
    with pytest.raises(SpoolError, match="cannot be opened"):
        async with opened(tmp_path, "a"):
            pass
    monkeypatch.setattr(schema, "STEPS", known)
    assert number_of(tmp_path / FILE) == len(known)
    async with opened(tmp_path, "a") as spool:
        spool.seal()
        assert await drained(spool.reader("a")) == [0]


def files(directory: Path) -> dict[str, bytes]:
    """But for SQLite's -shm, which whoever opens it makes anew."""
    return {path.name: path.read_bytes() for path in directory.glob(f"{FILE}*") if path.suffix != ".db-shm"}


async def test_a_newer_file_is_refused_with_what_to_do_and_left_alone(newer: Path) -> None:
    """By the agent as by `dockferry spool`, also where a kill left the newer format in SQLite's log."""
    before = files(newer)
    assert before.keys() == {FILE, f"{FILE}-wal"}
    advice = r"newer Dockferry \(format 99, .*start that version again, or set the file aside"
    with pytest.raises(SpoolError, match=advice):
        inspect(newer)
    with pytest.raises(SpoolError, match=advice):
        async with opened(newer, "a"):
            pass
    assert files(newer) == before
