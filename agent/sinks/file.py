"""file: the records as JSON lines in files, one per container or however the path is made of them.

What survives a kill, and how, is said in `agent.transport.files`. It asks this of whoever runs the sink: that it
takes a checkpoint when the position passes all that was delivered, and not before. Then every record is in the
files exactly once, even when an entry of the spool comes in several requests.

Without a durable position (memory mode) nothing is repaired: files are appended to, and a line that a kill has
torn ends where it was torn.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from agent.batch import Batch
from agent.encode.ndjson import ndjson
from agent.errors import SettingsError, SinkError
from agent.options import BOOLEAN, DURATION, SIZE, Kind, MiB, choice, integer, option
from agent.sinks.base import Delivered, Misconfigured, Outcome, Retry, Sink, SinkOptions, Target
from agent.transport import reason
from agent.transport.files import Disk, Intent, PathTemplate, Shape, Store, Write, try_directory

CLOSE_S = 1.0
#: What no further try mends: somebody has to.
_TO_MEND = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL,
    errno.EBUSY, errno.EFBIG, errno.ENAMETOOLONG, errno.ENXIO,
}  # fmt: skip
_ADVICE = {
    errno.ENOTDIR: "a directory on the way is a file or a symbolic link (below the fixed part none is followed)",
    errno.ELOOP: "is a symbolic link, and none is followed there: name the file itself",
}
T = TypeVar("T")


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0o200 <= mode <= 0o777 or not mode & 0o200:
        raise ValueError("permissions such as 0640, with which the owner may write")
    return mode


MODE: Kind[int] = Kind("permissions", _mode, "{:04o}".format)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions(SinkOptions):
    """The options of `file://`."""

    batch_age: float = option(DURATION, 0.5, help="longest wait for a request to fill", group="batch")
    rotate_bytes: int = option(
        SIZE, 100 * MiB, help="a file that would grow past this is rotated first; 0: never", group="files"
    )
    keep: int = option(
        integer(0, 9999), 5, help="how many rotated files stay: .1 (the newest), .2 …", group="files"
    )
    compress: str = option(
        choice("none", "gzip", "zstd"), "none", help="what becomes of rotated files", group="files"
    )
    mode: int = option(MODE, 0o640, help="permissions of new files", group="files")
    fsync: bool = option(
        BOOLEAN,
        False,
        help="each request on the disk before it counts: nothing is missing after a power failure",
        group="files",
    )


class FileSink(Sink[FileOptions]):
    """JSON lines in files, a path per container if you like: rotated, compressed, each line once."""

    def __init__(
        self,
        target: Target,
        options: FileOptions,
        *,
        disk: Disk | None = None,
        packing: Executor | None = None,
    ) -> None:
        super().__init__(target, options)
        self._template = _template(target)
        if options.concurrency != 1:
            raise SettingsError(
                [f"sink {target.name}: a file is written in order: concurrency can only be 1"]
            )
        self._shape = Shape(
            options.rotate_bytes, options.keep, options.compress, options.mode, fsync=options.fsync
        )
        self._disk = disk or Disk()
        # Threads of our own, which start when first used: a disk that hangs holds up no other sink.
        self._thread = ThreadPoolExecutor(1, f"file {target.name}")
        self._packing = packing or ThreadPoolExecutor(1, f"compress {target.name}")
        self._store: Store | None = None
        self._save: Callable[[bytes], Awaitable[None]] | None = None
        self._checkpoint: bytes | None = None
        self._trouble: str | None = None

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:
        await self._let_go()
        store = Store(self._template.root, self._shape, self._disk, self._packing.submit)
        if checkpoint is not None:
            try:
                await self._in_thread(partial(store.repair, checkpoint))
            except OSError as error:
                raise SinkError(f"cannot repair {_why(error)}") from error
        self._store, self._save, self._checkpoint = store, save, checkpoint

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        if self._store is None or self._save is None:
            raise RuntimeError("deliver() before open()")
        write = self._write(batches)
        try:
            step = await self._in_thread(partial(self._store.begin, write))
            if isinstance(step, Intent):
                await self._save(step.intent)
                self._checkpoint = step.checkpoint
                step = await self._in_thread(partial(self._store.finish, write))
        except OSError as error:
            return self._judge(error)
        write.accepted = True
        self._checkpoint, self._trouble = step.checkpoint, None
        return Delivered()

    async def probe(self) -> Outcome:
        try:
            if self._store is None:
                await self._in_thread(partial(try_directory, self._template.root))
            else:
                await self._in_thread(partial(self._store.probe, self._trouble))
        except OSError as error:
            return self._judge(error)
        return Delivered()

    def checkpoint(self) -> bytes | None:
        if self._store is not None:
            self._store.settled = True
        return self._checkpoint

    async def close(self) -> None:
        """What is positioned stays; on a disk that hangs, the repair at the next start sees to the rest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                left = await self._let_go()
                if left is not None and self._save is not None:
                    await self._save(left)
        for executor in (self._thread, self._packing):
            executor.shutdown(wait=False)
        self._thread = ThreadPoolExecutor(1, f"file {self.target.name}")
        self._packing = ThreadPoolExecutor(1, f"compress {self.target.name}")

    async def _let_go(self) -> bytes | None:
        """Close what is open; the checkpoint to save, if all went well."""
        store, self._store = self._store, None
        if store is None:
            return None
        store.packer.stop()
        try:
            return await self._in_thread(store.close)
        except OSError:  # what was not accepted is still there, and stays listed for the next repair
            return None

    def _write(self, batches: Sequence[Batch]) -> Write:
        parts: dict[str, list[bytes]] = {}
        for batch in batches:
            parts.setdefault(self._template.render(batch.container), []).append(ndjson(batch))
        return Write({path: b"".join(data) for path, data in parts.items()})

    async def _in_thread(self, job: Callable[[], T]) -> T:
        """What `job` returns. Cancelled, a job that has begun goes on, and the next waits for its end."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _judge(self, error: OSError) -> Outcome:
        self._trouble = error.filename
        return Misconfigured(_why(error)) if error.errno in _TO_MEND else Retry(_why(error))


def _template(target: Target) -> PathTemplate:
    if target.host or target.port is not None:
        raise SettingsError([f"sink {target.name}: a file's URL has three slashes: file:///var/log/…"])
    try:
        return PathTemplate.parse(target.path)
    except ValueError as error:
        raise SettingsError([f"sink {target.name}: the path must be {error}"]) from None


def _why(error: OSError) -> str:
    """The file and what is wrong with it, for a person."""
    said = _ADVICE.get(error.errno or 0)
    if said is None and error.errno in {errno.EINVAL, errno.EBUSY, errno.ESTALE} and error.strerror:
        said = error.strerror
    return f"{error.filename}: {said or reason(error)}"
