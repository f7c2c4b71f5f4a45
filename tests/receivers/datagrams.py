"""The ground for strict receivers of datagrams, over UDP or on a Unix socket."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Self

from tests.receivers.received import Faulty, Inbox, Received

READ_BYTES = 1 << 21
#: UDP loses what is not read in time, and the tests' receivers are slow: what a test sends has to fit.
BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33  # socket(7), for root: beyond net.core.rmem_max
MOST_FILES = 8


class DatagramReceiver(abc.ABC):
    """Keeps what comes to `port` on loopback, or to the Unix socket at `path`, in `inbox`.

    deaf       it reads nothing
    datagrams  every one, as it came; for a file that came with one, what is in the file
    """

    def __init__(self, path: Path | None = None) -> None:
        self.inbox = Inbox()
        self.datagrams: list[bytes] = []
        self.deaf = False
        self.port = 0
        self.path = path

    @abc.abstractmethod
    def read(self, datagram: bytes) -> Iterable[Received]:
        """The records that are complete with this datagram. Raises Faulty."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Serve until the block ends, on `self.port`, the same again when listening anew."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX if self.path else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            with contextlib.suppress(PermissionError):
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
            sock.bind(str(self.path) if self.path else ("127.0.0.1", self.port))
            sock.setblocking(False)
            if not self.path:
                self.port = sock.getsockname()[1]
            if not self.deaf:
                loop.add_reader(sock, self._drain, sock)
            try:
                yield self
            finally:
                loop.remove_reader(sock)
                if self.path:
                    self.path.unlink()

    def _drain(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, files, flags, _ = socket.recv_fds(sock, READ_BYTES, MOST_FILES)
                if flags & socket.MSG_TRUNC:
                    self.inbox.fault(Faulty(f"a datagram of more than {READ_BYTES} bytes"))
                self._take(data, files)

    def _take(self, data: bytes, files: list[int]) -> None:
        try:
            if files:
                data = self.read_file(data, files)
            self.datagrams.append(data)
            self.inbox.add(self.read(data))
        except (Faulty, ValueError, LookupError, TypeError) as error:
            self.inbox.fault(error)
        finally:
            for file in files:
                os.close(file)

    def read_file(self, data: bytes, files: list[int]) -> bytes:
        """What is in the files that came with a datagram. Raises Faulty."""
        raise Faulty("nobody asked for a file")
