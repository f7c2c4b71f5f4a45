"""What the tests of the file sink share: a position that survives, a disk that dies, and what is in the files."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import cramjam
import orjson

from agent.batch import Batch, Container, Stream
from agent.sinks.base import Delivered, Target
from agent.sinks.file import FileOptions, FileSink
from agent.transport.files import Disk

P = ParamSpec("P")
T = TypeVar("T")


class Crash(BaseException):
    """The process is killed here: nothing of it goes on, and nobody tidies up."""


class Fuse:
    """Lets so many steps pass, and then kills. None: never. After it has blown, every step kills."""

    def __init__(self, steps: int | None = None) -> None:
        self.left = steps

    @property
    def blown(self) -> bool:
        return self.left is not None and self.left < 0

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash


class DyingDisk(Disk):
    """Each operation is two steps, killed before and after it; a write is three, the second amid it."""

    def __init__(self, fuse: Fuse) -> None:
        self._fuse = fuse
        self.opened: list[int] = []

    def mkdir(self, name: str, mode: int, folder: int) -> None:
        self._around(super().mkdir, name, mode, folder)

    def create(self, name: str, mode: int, folder: int) -> int:
        return self._around(super().create, name, mode, folder)

    def truncate(self, fd: int, size: int) -> None:
        self._around(super().truncate, fd, size)

    def rename(self, old: str, new: str, folder: int) -> None:
        self._around(super().rename, old, new, folder)

    def unlink(self, name: str, folder: int) -> None:
        self._around(super().unlink, name, folder)

    def write(self, fd: int, data: memoryview) -> int:
        self._fuse.step()
        half = super().write(fd, data[: len(data) // 2 or 1])
        self._fuse.step()
        return half

    def _around(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._fuse.step()
        result = operation(*args, **kwargs)
        self._fuse.step()
        return result


class AtOnce(Executor):
    """Compression without a thread, so that every run has the same steps."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class Position:
    """A sink's durable position as the spool keeps it: with the checkpoint, and now and then behind the truth."""

    def __init__(self) -> None:
        self.durable: tuple[int, bytes | None] = (0, None)
        self.present: tuple[int, bytes | None] = (0, None)
        self.saves = 0

    async def save(self, checkpoint: bytes, fuse: Fuse | None = None) -> None:
        await asyncio.sleep(0)
        self.saves += 1
        self.present = self.present[0], checkpoint
        self.persist()
        if fuse is not None:
            fuse.step()

    def done(self, entry: int, checkpoint: bytes | None) -> None:
        self.present = entry, checkpoint

    def persist(self) -> None:
        self.durable = self.present

    def crash(self) -> None:
        """What was not durable is forgotten."""
        self.present = self.durable


def container(name: str, **values: Any) -> Container:  # noqa: ANN401 - whatever it takes
    return Container(**{"id": f"{name:0<64}", "name": name, "image": "i", "tag": name, "host": "h"} | values)


def batch(where: Container | str, *messages: str) -> Batch:
    found = container(where) if isinstance(where, str) else where
    data = [message.encode() for message in messages]
    return Batch(found, Stream.STDOUT, list(range(1_000, 1_000 + len(data))), data)


def sink(
    path: str,
    disk: Disk | None = None,
    packing: Executor | None = None,
    **options: Any,  # noqa: ANN401 - whatever FileOptions takes
) -> FileSink:
    target = Target("disk", "file", "", "", None, path)
    return FileSink(target, FileOptions(**options), disk=disk, packing=packing)


async def opened(
    path: str,
    position: Position | None = None,
    **options: Any,  # noqa: ANN401 - whatever `sink` takes
) -> FileSink:
    made = sink(path, **options)
    position = position or Position()
    await made.open(position.present[1], position.save)
    return made


async def deliver(to: FileSink, *batches: Batch, position: Position | None = None) -> None:
    assert await to.deliver(batches) == Delivered()
    checkpoint = to.checkpoint()
    if position is not None:
        position.done(position.present[0] + 1, checkpoint)


def die(victim: FileSink) -> None:
    """What the kernel does for a dead process: closes its files."""
    if victim._store is not None:
        for file in victim._store._files.values():
            if file.fd is not None:
                os.close(file.fd)
    victim._thread.shutdown()


def messages(path: Path) -> list[str]:
    """The messages of one file, plain or compressed; every line must be a whole record."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = bytes(cramjam.zstd.decompress(data))
    assert not data or data.endswith(b"\n")
    return [orjson.loads(line)["message"] for line in data.splitlines()]


def generations(path: Path) -> Iterator[Path]:
    """A file's rotated ones, oldest first, and the file."""
    others = [each for each in path.parent.glob(path.name + ".*") if each.name != path.name + ".part"]
    numbers = {each: int(each.name.removeprefix(path.name).split(".")[1]) for each in others}
    yield from sorted(others, key=lambda each: -numbers[each])
    if path.exists():
        yield path


def everything(path: Path) -> list[str]:
    return [message for each in generations(path) for message in messages(each)]


def leftovers(directory: Path) -> Sequence[Path]:
    return list(directory.rglob("*.part"))


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
