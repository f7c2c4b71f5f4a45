"""The file sink: each line once, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agent.batch import Batch
from agent.errors import SettingsError, SinkError
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Retry
from agent.sinks.file import FileSink
from agent.transport.files import Disk, store
from tests.sinks.files import (
    AtOnce,
    Crash,
    DyingDisk,
    Fuse,
    Position,
    batch,
    container,
    deliver,
    die,
    everything,
    leftovers,
    messages,
    names_in,
    opened,
    sink,
)

ENTRIES = 4
PATIENCE_S = 10.0


def entry(number: int) -> list[Batch]:
    """What the spool gives under this number: lines of two containers, and of a third now and then."""
    names = ["web", "db"] + (["cron"] if number % 4 == 2 else [])
    return [batch(name, *(f"{name} {number}.{line}" for line in range(3))) for name in names]


def expected(name: str) -> list[str]:
    return [
        message.decode()
        for number in range(ENTRIES)
        for each in entry(number)
        if each.container.name == name
        for message in each.messages
    ]


async def ship(directory: Path, position: Position, fuse: Fuse, *, persist: bool, **options: object) -> None:
    """The runner's part, from the position to the last entry; the fuse may end it anywhere."""
    disk = DyingDisk(fuse)
    made = sink(f"{directory}/{{{{.Name}}}}.ndjson", disk, AtOnce(), keep=100, rotate_bytes=700, **options)
    try:
        await made.open(position.present[1], partial(position.save, fuse=fuse))
        for number in range(position.present[0], ENTRIES):
            await deliver(made, *entry(number), position=position)
            if persist:
                position.persist()
            fuse.step()
        await made.close()
    finally:
        die(made)


async def survive(directory: Path, fuses: list[int], **options: bool | str) -> bool:
    """Die once for each fuse, and then finish; whether the first fuse was long enough to finish at once."""
    position, first = Position(), None
    for steps in [*fuses, None]:
        fuse = Fuse(steps)
        try:
            await ship(
                directory, position, fuse, persist=bool(options["persist"]), compress=options["compress"]
            )
            first = True if first is None else first
        except Crash:
            first = False
            position.crash()
    for name in ("web", "db", "cron"):
        assert everything(directory / f"{name}.ndjson") == expected(name), fuses
    return bool(first)


@pytest.mark.parametrize("compress", ["none", "gzip"])
@pytest.mark.parametrize("persist", [True, False], ids=["at once", "only with intents"])
async def test_killed_at_any_step_each_line_is_there_once(
    tmp_path: Path, compress: str, *, persist: bool
) -> None:
    """Every point before, amid and after each change of a file and each save, one after the other."""
    steps, whole = 0, False
    while not whole:
        directory = tmp_path / str(steps)
        whole = await survive(directory, [steps], compress=compress, persist=persist)
        assert not leftovers(directory)
        steps += 1
    assert steps > 100


@pytest.mark.parametrize("seed", range(40))
async def test_killed_again_and_again_each_line_is_there_once(tmp_path: Path, seed: int) -> None:
    """The repair is killed, too, and the run after it."""
    chance = random.Random(seed)
    fuses = [chance.choice([chance.randrange(12), chance.randrange(80)]) for _ in range(9)]
    await survive(tmp_path, fuses, compress=chance.choice(["none", "zstd"]), persist=chance.random() < 0.5)


@pytest.mark.parametrize("compress", ["none", "gzip"])
@pytest.mark.parametrize("steps", range(0, 160, 3))
async def test_an_entry_in_several_requests_is_there_once(tmp_path: Path, steps: int, compress: str) -> None:
    """A position covers an entry; what a kill leaves of one that came in pieces goes."""
    pieces = [batch("web", f"{number} {'x' * 200}") for number in range(12)]
    position = Position()
    for fuse in (Fuse(steps), Fuse()):
        path = f"{tmp_path}/{{{{.Name}}}}.ndjson"
        made = sink(path, DyingDisk(fuse), AtOnce(), keep=100, rotate_bytes=900, compress=compress)
        try:
            await made.open(position.present[1], partial(position.save, fuse=fuse))
            for start in range(3 * position.present[0], len(pieces), 3):
                for piece in pieces[start : start + 3]:
                    assert await made.deliver([piece]) == Delivered()
                position.done(position.present[0] + 1, made.checkpoint())
            await made.close()
        except Crash:
            position.crash()
        finally:
            die(made)
    found = everything(tmp_path / "web.ndjson")
    assert [message.split()[0] for message in found] == [str(number) for number in range(12)]


async def test_rotated_amid_an_entry_it_is_packed_with_the_next_request(tmp_path: Path) -> None:
    """Not before the entry is done, since a kill takes it back; and not only when the file is full again."""
    made = await opened(f"{tmp_path}/a", packing=AtOnce(), compress="gzip", rotate_bytes=3000)
    for number in range(2):
        assert await made.deliver([batch("web", f"{number}{'x' * 2000}")]) == Delivered()
    assert names_in(tmp_path) == ["a", "a.1"]
    made.checkpoint()
    await deliver(made, batch("web", "next"))
    assert names_in(tmp_path) == ["a", "a.1.gz"]
    await made.close()


async def test_cancelled_amid_an_entry_the_close_leaves_it_to_the_repair(tmp_path: Path) -> None:
    """Closing in good order does not settle what the position has not passed."""
    position, path = Position(), f"{tmp_path}/a.ndjson"
    first = await opened(path, position)
    await deliver(first, batch("web", "whole"), position=position)
    assert await first.deliver([batch("web", "a piece")]) == Delivered()
    await first.close()
    position.crash()
    second = await opened(path, position)
    assert messages(tmp_path / "a.ndjson") == ["whole"]
    await second.close()


async def test_a_file_closed_amid_an_entry_and_opened_again_is_repaired_to_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With too few files open, an entry's pieces come to a file twice; it stays one file in the checkpoint."""
    monkeypatch.setattr(store, "OPEN_FILES", 1)
    position, path = Position(), f"{tmp_path}/{{{{.Name}}}}"
    made = await opened(path, position)
    await deliver(made, batch("web", "whole"), batch("db", "whole"), position=position)
    position.persist()
    for name in ("web", "db", "cron", "web", "db"):
        assert await made.deliver([batch(name, "a piece")]) == Delivered()
    die(made)
    position.crash()
    await (await opened(path, position)).close()
    assert [messages(tmp_path / name) for name in ("web", "db", "cron")] == [["whole"], ["whole"], []]
    assert not caplog.text


@pytest.mark.chaos
def test_killed_nine_times_by_the_kernel_each_line_is_there_once(tmp_path: Path) -> None:
    """A real process and SIGKILL, at seeded instants of its progress."""
    chance = random.Random(20)
    command = [sys.executable, str(Path(__file__).with_name("file_victim.py")), str(tmp_path)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    kills, code = 0, 0
    for rest in [chance.randrange(3, 25) for _ in range(9)] + [10**9]:
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as victim:
            assert victim.stdout is not None
            for count, _ in enumerate(victim.stdout):
                if count >= rest:
                    threading.Event().wait(chance.random() * 0.01)
                    victim.send_signal(signal.SIGKILL)
                    break
        code = victim.returncode
        kills += code == -signal.SIGKILL
    assert kills == 9
    assert code == 0
    for name in ("web", "db", "cron"):
        found = everything(tmp_path / "logs" / f"{name}.ndjson")
        assert len(found) > 10_000
        assert found == [str(number) for number in range(len(found))]
    assert not leftovers(tmp_path)
    assert list(tmp_path.rglob("*.gz"))


class SlowDisk(Disk):
    """Writes when it is let."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def write(self, fd: int, data: memoryview) -> int:
        written = super().write(fd, data)
        self.begun.set()
        assert self.go.wait(PATIENCE_S)
        return written


async def test_a_cancelled_request_given_again_is_there_once(tmp_path: Path) -> None:
    """A time-out amid the write: the thread goes on, and what it wrote is taken back before the next."""
    disk = SlowDisk()
    made = await opened(f"{tmp_path}/a.ndjson", disk=disk)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.deliver([batch("web", "one")]))
        await asyncio.to_thread(disk.begun.wait, PATIENCE_S)
        task.cancel()
    disk.go.set()
    await deliver(made, batch("web", "one", "two"))
    await made.close()
    assert messages(tmp_path / "a.ndjson") == ["one", "two"]


async def test_a_slow_disk_does_not_hold_the_event_loop(tmp_path: Path) -> None:
    """Others go on while a write waits."""
    disk = SlowDisk()
    made = await opened(f"{tmp_path}/a.ndjson", disk=disk)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.deliver([batch("web", "one")]))
        await asyncio.to_thread(disk.begun.wait, PATIENCE_S)
        assert not task.done()
        disk.go.set()
    assert task.result() == Delivered()
    await made.close()


async def test_a_cancelled_request_that_never_comes_again_is_not_there(tmp_path: Path) -> None:
    """It will be delivered after the restart."""
    disk = SlowDisk()
    made = await opened(f"{tmp_path}/a.ndjson", disk=disk)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.deliver([batch("web", "one")]))
        await asyncio.to_thread(disk.begun.wait, PATIENCE_S)
        task.cancel()
    disk.go.set()
    await made.close()
    assert messages(tmp_path / "a.ndjson") == []


class FullDisk(Disk):
    """Takes so many bytes, then none."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, data: memoryview) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data[: self.room])
        self.room -= written
        return written


async def test_a_full_disk_keeps_nothing_of_the_request(tmp_path: Path) -> None:
    """Not in the file that failed, nor in those written before it; with room again all goes on."""
    disk = FullDisk(10_000)
    made = await opened(f"{tmp_path}/{{{{.Name}}}}", disk=disk)
    await deliver(made, batch("web", "first"), batch("db", "first"))
    disk.room = 300
    outcome = await made.deliver([batch("web", "second"), batch("db", "second")])
    assert outcome == Retry(f"{tmp_path}/db: No space left on device")
    assert [messages(tmp_path / name) for name in ("web", "db")] == [["first"], ["first"]]
    disk.room = 10_000
    await deliver(made, batch("web", "second"), batch("db", "second"))
    await made.close()
    assert [messages(tmp_path / name) for name in ("web", "db")] == [["first", "second"]] * 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 64 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_real_full_disk_is_a_retry(small_disk: Path) -> None:
    """What the kernel took before it said no is taken back, and what fits goes on."""
    made = await opened(f"{small_disk}/a.ndjson")
    await deliver(made, batch("web", "x" * 1000))
    outcome = await made.deliver([batch("web", "y" * 100_000)])
    assert outcome == Retry(f"{small_disk}/a.ndjson: No space left on device")
    await deliver(made, batch("web", "z"))
    await made.close()
    assert messages(small_disk / "a.ndjson") == ["x" * 1000, "z"]


async def test_a_link_below_the_directory_is_not_followed(tmp_path: Path) -> None:
    """Neither as the file nor on the way, and the probe says so until it is gone."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "web").symlink_to(tmp_path, target_is_directory=True)
    made = await opened(f"{tmp_path}/logs/{{{{.Name}}}}/out.ndjson")
    assert isinstance(await made.deliver([batch("web", "one")]), Misconfigured)
    assert isinstance(await made.probe(), Misconfigured)
    (tmp_path / "logs" / "web").unlink()
    (tmp_path / "logs" / "web").mkdir()
    (tmp_path / "logs" / "web" / "out.ndjson").symlink_to(tmp_path / "elsewhere")
    assert isinstance(await made.deliver([batch("web", "one")]), Misconfigured)
    (tmp_path / "logs" / "web" / "out.ndjson").unlink()
    assert await made.probe() == Delivered()
    await deliver(made, batch("web", "one"))
    await made.close()
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "out.ndjson").exists()


@pytest.mark.parametrize("obstacle", ["directory", "pipe", "file on the way"])
async def test_what_is_no_file_is_misconfigured(tmp_path: Path, obstacle: str) -> None:
    """It names the path, and does not hang on a pipe."""
    path = tmp_path / "web" / "out"
    if obstacle == "file on the way":
        path.parent.write_text("in the way")
    else:
        path.parent.mkdir()
        path.mkdir() if obstacle == "directory" else os.mkfifo(path)
    made = await opened(f"{tmp_path}/{{{{.Name}}}}/out")
    outcome = await made.deliver([batch("web", "one")])
    assert isinstance(outcome, Misconfigured)
    assert str(path) in outcome.why
    await made.close()


async def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    """They would cut each other's lines away."""
    first, second = await opened(f"{tmp_path}/a"), await opened(f"{tmp_path}/{{{{.Name}}}}")
    await deliver(first, batch("a", "one"))
    outcome = await second.deliver([batch("a", "two")])
    assert isinstance(outcome, Misconfigured)
    assert "another" in outcome.why
    await first.close()
    await deliver(second, batch("a", "two"))
    await second.close()
    assert messages(tmp_path / "a") == ["one", "two"]


@pytest.mark.parametrize("how", ["renamed", "removed", "cut", "directory renamed"])
async def test_what_others_do_to_a_file_is_noticed(tmp_path: Path, how: str) -> None:
    """logrotate with `create`, with `copytruncate`, or a broom: the next request begins anew at the path."""
    path = tmp_path / "logs" / "a"
    position = Position()
    made = await opened(str(path), position)
    await deliver(made, batch("web", "one"), position=position)
    if how == "renamed":
        path.rename(path.with_name("a.1"))
    elif how == "removed":
        path.unlink()
    elif how == "cut":
        os.truncate(path, 0)
    else:
        path.parent.rename(tmp_path / "old")
    before = position.saves
    await deliver(made, batch("web", "two"), position=position)
    assert position.saves == before + 1
    await made.close()
    assert messages(path) == ["two"]


async def test_what_was_renamed_by_others_is_repaired_there(tmp_path: Path) -> None:
    """Lines behind the position go, also where logrotate has moved the file before the restart."""
    position, path = Position(), tmp_path / "a"
    made = await opened(str(path), position)
    await deliver(made, batch("web", "one"), position=position)
    position.persist()
    await deliver(made, batch("web", "two"), position=position)
    die(made)
    position.crash()
    path.rename(path.with_name("a-20261123"))
    made = await opened(str(path), position)
    await deliver(made, batch("web", "two"), position=position)
    await made.close()
    assert messages(path.with_name("a-20261123")) == ["one"]
    assert messages(path) == ["two"]


async def test_a_file_that_is_not_ours_is_never_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same inode at the same path, with other bytes: somebody's who came after."""
    position, path = Position(), tmp_path / "a"
    made = await opened(str(path), position)
    await deliver(made, batch("web", "one"), position=position)
    position.persist()
    die(made)
    path.write_text("not ours\n" * 100)
    made = await opened(str(path), position)
    await made.close()
    assert path.read_text() == "not ours\n" * 100
    assert "not the file it was" in caplog.text


async def test_closed_in_good_order_nothing_is_cut_later(tmp_path: Path) -> None:
    """Another program may add to the files while the agent is away."""
    position, path = Position(), tmp_path / "a"
    made = await opened(str(path), position)
    await deliver(made, batch("web", "one"), position=position)
    await made.close()
    position.crash()
    with path.open("a") as file:
        file.write('{"message":"by hand"}\n')
    made = await opened(str(path), position)
    await deliver(made, batch("web", "two"), position=position)
    await made.close()
    assert messages(path) == ["one", "by hand", "two"]


async def test_without_a_position_files_are_appended_to(tmp_path: Path) -> None:
    """Memory mode after a kill amid a line: the torn line swallows no other."""
    (tmp_path / "a").write_bytes(b'{"message":"before"}\n{"mess')
    made = await opened(f"{tmp_path}/a")
    await deliver(made, batch("web", "one"))
    await deliver(made, batch("web", "two"))
    await made.close()
    lines = (tmp_path / "a").read_bytes().splitlines()
    assert lines[:2] == [b'{"message":"before"}', b'{"mess']
    assert len(lines) == 4


async def test_a_checkpoint_of_another_sink_is_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The name may have been that of an S3 sink yesterday."""
    position = Position()
    position.present = 0, b"something else"
    made = await opened(f"{tmp_path}/a", position)
    await deliver(made, batch("web", "one"))
    await made.close()
    assert messages(tmp_path / "a") == ["one"]
    assert "not of this sink" in caplog.text


async def test_a_repair_that_fails_is_told(tmp_path: Path) -> None:
    """Opening is tried again; nothing is written before."""
    position, path = Position(), tmp_path / "a"
    made = await opened(str(path), position)
    await deliver(made, batch("web", "one"), position=position)
    die(made)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SinkError, match="another agent"):
            await opened(str(path), position)


async def test_more_files_than_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are held open; the others are opened again, also within one request, and lose nothing."""
    monkeypatch.setattr(store, "OPEN_FILES", 4)
    position = Position()
    made = await opened(f"{tmp_path}/{{{{.Name}}}}", position)
    before = len(names_in(Path("/proc/self/fd")))
    for turn in range(3):
        await deliver(made, *(batch(f"c{n}", str(turn)) for n in range(10)), position=position)
        assert len(names_in(Path("/proc/self/fd"))) <= before + 6
    await deliver(made, batch("last", "0"), position=position)
    checkpoint = made.checkpoint()
    assert checkpoint is not None
    assert checkpoint.count(b"/c") == 3
    await made.close()
    assert all(messages(tmp_path / f"c{n}") == ["0", "1", "2"] for n in range(10))


async def test_an_intent_is_saved_for_a_new_file_only(tmp_path: Path) -> None:
    """A durable save for each request would cost more than the request."""
    position = Position()
    made = await opened(f"{tmp_path}/{{{{.Name}}}}", position)
    for turn in range(20):
        await deliver(made, batch("web", str(turn)), position=position)
    assert position.saves == 1
    await made.close()


async def test_containers_that_share_a_file_share_it_in_order(tmp_path: Path) -> None:
    """No template, or one that says less than the name."""
    made = await opened(f"{tmp_path}/all")
    await deliver(made, batch("web", "one"), batch("db", "two"), batch("web", "three"))
    await made.close()
    assert messages(tmp_path / "all") == ["one", "two", "three"]


async def test_rotation_keeps_so_many_and_never_divides_a_request(tmp_path: Path) -> None:
    """A request larger than the limit is a file of its own."""
    made = await opened(f"{tmp_path}/a", rotate_bytes=600, keep=2)
    for number in range(4):
        await deliver(made, batch("web", *(f"{number}.{line}" for line in range(5))))
    await made.close()
    assert messages(tmp_path / "a") == [f"3.{line}" for line in range(5)]
    assert messages(tmp_path / "a.1") == [f"2.{line}" for line in range(5)]
    assert names_in(tmp_path) == ["a", "a.1", "a.2"]


async def test_files_and_directories_get_the_permissions(tmp_path: Path) -> None:
    """Whatever the umask takes from files; whoever may read may enter."""
    made = await opened(
        f"{tmp_path}/x/{{{{.Name}}}}/a", packing=AtOnce(), mode=0o664, compress="gzip", rotate_bytes=1
    )
    await deliver(made, batch("web", "one"))
    await deliver(made, batch("web", "two"))
    await made.close()
    for name in ("a", "a.1.gz"):
        assert stat.S_IMODE((tmp_path / "x/web" / name).stat().st_mode) == 0o664
    assert (tmp_path / "x/web").stat().st_mode & 0o755 == 0o755


async def test_the_probe_leaves_nothing(tmp_path: Path) -> None:
    """It needs no open sink, makes no directory, and says when it cannot write."""
    made = sink(f"{tmp_path}/logs/{{{{.Name}}}}")
    assert await made.probe() == Delivered()
    assert not names_in(tmp_path)
    (tmp_path / "logs").write_text("")
    outcome = await made.probe()
    assert isinstance(outcome, Misconfigured)
    assert f"{tmp_path}/logs" in outcome.why
    await made.close()


class SyncingDisk(Disk):
    def __init__(self) -> None:
        self.synced = Counter[str]()

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.synced["directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"] += 1


@pytest.mark.parametrize("fsync", [True, False])
async def test_fsync_syncs_file_and_directory(tmp_path: Path, *, fsync: bool) -> None:
    """A new file's name is on the disk, too."""
    disk = SyncingDisk()
    made = await opened(f"{tmp_path}/a", disk=disk, fsync=fsync)
    await deliver(made, batch("web", "one"))
    await deliver(made, batch("web", "two"))
    await made.close()
    assert disk.synced == (Counter(file=2, directory=1) if fsync else Counter())


def test_the_url_makes_the_sink() -> None:
    """As the contract writes it."""
    made = parse_sink(
        "x", "file:///var/log/c/{{.Name}}.ndjson?rotate_bytes=1MiB&keep=5&compress=gzip&mode=0600"
    )
    assert isinstance(made, FileSink)
    assert (made.options.rotate_bytes, made.options.keep, made.options.mode) == (1 << 20, 5, 0o600)
    assert made._template.render(container("web")) == "/var/log/c/web.ndjson"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("file://var/log/a", "three slashes"),
        ("file:///var/log/", "not of a directory"),
        ("file:///var/../a", r"'\.\.'"),
        ("file:///var/{{.Nome}}", "Nome"),
        ("file:///a?concurrency=2", "concurrency"),
        ("file:///a?mode=rw", "0640"),
        ("file:///a?mode=0444", "0640"),
        ("file:///a?keep=-1", "keep"),
        ("file:///a?compress=lz4", "compress"),
    ],
)
def test_a_wrong_url_is_told(url: str, complaint: str) -> None:
    """What is wrong, and what would have been right."""
    with pytest.raises(SettingsError, match=complaint):
        parse_sink("x", url)
