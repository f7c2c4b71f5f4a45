"""journald: a strict reader of its native protocol, and the real one in a private mount namespace.

Sources: systemd.io, "Native Journal Protocol"; systemd's journald-native.c for what it rejects.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.parsed import level_of
from tests.receivers.program import plain_environment, running, until
from tests.receivers.received import DEADLINE_S, Faulty, Received, nanoseconds

JOURNALD = Path("/lib/systemd/systemd-journald")
NAMESPACE = "dockferry"
_NAME = re.compile(rb"[A-Z][A-Z0-9_]{0,63}")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
OF_THE_RECORD = {
    *("PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_TIMESTAMP", "MESSAGE", "IMAGE_NAME"),
    *("CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_NAME", "CONTAINER_TAG", "CONTAINER_STREAM"),
    *(
        "CONTAINER_HOST",
        "CONTAINER_PROJECT",
        "CONTAINER_SERVICE",
        "CONTAINER_RECORD_ID",
        "CONTAINER_TRUNCATED",
    ),
}


def read_fields(entry: bytes) -> dict[bytes, bytes]:
    """The fields of one entry. Raises Faulty for what journald would skip or misread."""
    fields: dict[bytes, bytes] = {}
    at = 0
    while at < len(entry):
        end = entry.index(b"\n", at)
        name, equals, value = entry[at:end].partition(b"=")
        at = end + 1
        if not equals:
            size = int.from_bytes(entry[at : at + 8], "little")
            value = entry[at + 8 : at + 8 + size]
            at += 8 + size + 1
            if len(value) != size or entry[at - 1 : at] != b"\n":
                raise Faulty(f"{name!r} has no end: {entry[-100:]!r}")
        if not _NAME.fullmatch(name) or name in fields:
            raise Faulty(f"no name, or there twice: {name!r}")
        fields[name] = value
    return fields


def read_entry(fields: dict[bytes, bytes], *, full_id: bool) -> Received:
    """The record in an entry. Raises Faulty when it is not as Docker's driver sends it."""
    text = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
    stream = text["CONTAINER_STREAM"]
    if text["SYSLOG_IDENTIFIER"] != text["CONTAINER_TAG"]:
        raise Faulty(f"not as Docker's driver: {text}")
    if full_id != ("CONTAINER_ID_FULL" in text) or len(text["CONTAINER_ID"]) != 12:
        raise Faulty(f"ids: {text}")
    return Received(
        message=text["MESSAGE"],
        timestamp_ns=nanoseconds(text["SYSLOG_TIMESTAMP"]),
        stream=stream,
        container=text["CONTAINER_NAME"],
        container_id=text.get("CONTAINER_ID_FULL", text["CONTAINER_ID"]),
        image=text["IMAGE_NAME"],
        host=text["CONTAINER_HOST"],
        tag=text["CONTAINER_TAG"],
        project=text.get("CONTAINER_PROJECT"),
        service=text.get("CONTAINER_SERVICE"),
        labels={name: value for name, value in text.items() if name not in OF_THE_RECORD},
        truncated=text.get("CONTAINER_TRUNCATED") == "true",
        level=level_of(int(text["PRIORITY"]), stream),
        id=text["CONTAINER_RECORD_ID"],
    )


class NativeSocket(DatagramReceiver):
    """Reads as journald does. files: how many entries came in a file."""

    def __init__(self, path: Path, *, full_id: bool = False) -> None:
        super().__init__(path)
        self.full_id = full_id
        self.files = 0

    def read(self, datagram: bytes) -> Iterable[Received]:
        return [read_entry(read_fields(datagram), full_id=self.full_id)]

    def read_file(self, data: bytes, files: list[int]) -> bytes:
        if data or len(files) != 1:
            raise Faulty(f"{len(files)} files, and {data[:100]!r}")
        if fcntl.fcntl(files[0], fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise Faulty("a file that may still change")
        self.files += 1
        with mmap.mmap(files[0], 0, access=mmap.ACCESS_READ) as mapped:
            return bytes(mapped)


@dataclass(frozen=True, slots=True)
class Journald:
    """A real one. `socket`: its native socket; `pid`: its process."""

    socket: Path
    directory: Path
    pid: int

    def entries(self, count: int) -> list[dict[str, object]]:
        """What `journalctl` finds of us, once there is so much: a field that is no text is a list of bytes."""
        found: list[dict[str, object]] = []

        def there() -> bool:
            found[:] = [entry for entry in self._read() if "CONTAINER_RECORD_ID" in entry]
            return len(found) >= count

        until(there, DEADLINE_S)
        return found

    def _read(self) -> list[dict[str, object]]:
        files = [f"--file={path}" for path in sorted(self.directory.rglob("*.journal"))]
        if not files:
            return []
        done = subprocess.run(
            ["journalctl", *files, "--output=json", "--all", "--no-pager"], capture_output=True, check=True
        )
        return [orjson.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def private_journald(directory: Path) -> Iterator[Journald]:
    """A journald of our own: /run and /var/log are folders below `directory` to it. Skips unless root."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a journald folders of its own")
    run, log = directory / "run", directory / "log"
    settings = run / f"systemd/journald@{NAMESPACE}.conf.d/test.conf"
    settings.parent.mkdir(parents=True)
    log.mkdir()
    (run / "log").mkdir()
    settings.write_text("[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nRuntimeMaxUse=256M\n")
    private = f"mount --bind {run} /run && mount --bind {log} /var/log && exec {JOURNALD} {NAMESPACE}"
    path = run / f"systemd/journal.{NAMESPACE}/socket"
    with running(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", private],
        log=directory / "said",
        ready=path.exists,
        env=plain_environment(),
    ) as pid:
        yield Journald(path, run / "log", pid)
