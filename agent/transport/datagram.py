"""Datagrams to one peer: UDP, and Unix sockets. Sent means that our kernel has taken it.

Sources: udp(7), unix(7). A Unix socket whose reader lags makes the sender wait, and loses nothing. UDP has no such
brake and no receipt: what passes the receiver's buffer is gone, so it is sent in small bursts at a bounded rate.
That nobody listens, a host tells by ICMP (RFC 1122, 4.1.3.3): soon after, not at once, and not through firewalls.

All this waiting, every few datagrams, is a thread's (`agent.transport.pour`): to wake an event loop costs more than
to send what it wakes up for.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent.transport import TransportError, reason
from agent.transport.pour import OversizeError, Pace, Pour
from agent.transport.stream import Address

#: Longest wait for the word that nobody listens.
VERDICT_S = 0.01
#: UDP does not notice that a name leads elsewhere by now: it has to be asked.
RESOLVE_EVERY_S = 10.0
SEND_BUFFER_BYTES = 8 * 1024 * 1024  # as much of it as net.core.wmem_max allows
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
#: How long the kernel may keep a thread: what it has no room for by then is waited for by the loop.
_FULL = struct.pack("@ll", 0, 10_000)


class Datagrams:
    """One socket at a time, connected when it is needed and given up at the first fault.

    per_second  most datagrams of up to 1 KiB in a second; None: as fast as the kernel takes them
    """

    def __init__(self, address: Address, per_second: float | None = None) -> None:
        self.address = address
        self._pace = Pace(per_second) if per_second is not None else None
        self._thread = ThreadPoolExecutor(1)  # of its own, so that no sink waits for another's turn
        self._sock: socket.socket | None = None
        self._using = asyncio.Lock()  # nobody closes the socket of another's request
        self._resolve_at = 0.0
        self._turn = 0

    async def connect(self) -> None:
        """Resolve the name and connect the socket; nothing is sent. Raises TransportError."""
        async with self._using:
            await self._connected()

    async def send(self, waiting: deque[bytes]) -> None:
        """Send what is in `waiting`, first to last, and take out of it what was sent.

        Raises TransportError, OversizeError for the one that is first now. Without a bound of its own: a Unix
        socket's reader that has stopped keeps it waiting. May be cancelled.
        """
        async with self._using:
            sock = await self._connected()
            try:
                if waiting:
                    await self._pour(sock, waiting)
                await self._verdict(sock)
            except OversizeError as error:
                raise OversizeError(f"{self.address}: {error}") from error
            except OSError as error:
                self._turn += 1
                self.close()
                raise TransportError(f"{self.address}: {reason(error)}") from error

    async def send_file(self, data: bytes) -> None:
        """Send `data` as a sealed file that the peer maps: journald's way for more than a datagram holds.

        Source: systemd.io, "Native Journal Protocol". Raises TransportError.
        """
        async with self._using:
            sock = await self._connected()
            try:
                await _send_file(sock, data)
            except OSError as error:
                self.close()
                raise TransportError(f"{self.address}: {reason(error)}") from error

    def close(self) -> None:
        """Let go of the socket."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def _pour(self, sock: socket.socket, waiting: deque[bytes]) -> None:
        """Send all that is waiting."""
        pour = Pour(list(waiting), self._pace)
        while not pour.done:
            before = pour.sent
            try:
                await self._in_thread(pour, sock)
            finally:
                for _ in range(pour.sent - before):
                    waiting.popleft()
            if pour.full:
                await _writable(sock)

    async def _in_thread(self, pour: Pour, sock: socket.socket) -> None:
        # Its own descriptor: nobody hands the number of a closed socket to a thread that is still at it.
        running = asyncio.get_running_loop().run_in_executor(self._thread, pour.run, sock.dup())
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            pour.stop()
            await asyncio.wait([running])
            raise

    async def _verdict(self, sock: socket.socket) -> None:
        """Raises OSError when the peer's host has said that nobody listens."""
        if self.address.path is None:
            await asyncio.sleep(VERDICT_S)
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))

    async def _connected(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if self._sock is not None and (self.address.path is not None or loop.time() < self._resolve_at):
            return self._sock
        self.close()
        try:
            if self.address.path is not None:
                self._sock = _socket_to(socket.AF_UNIX, self.address.path)
            else:
                self._sock = await self._found()
        except OSError as error:
            raise TransportError(f"cannot connect to {self.address}: {reason(error)}") from error
        self._resolve_at = loop.time() + RESOLVE_EVERY_S
        return self._sock

    async def _found(self) -> socket.socket:
        """A socket to the first of the name's addresses that a route leads to; after a refusal, to the next."""
        host, port = self.address.host, self.address.port
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        first = self._turn % len(found)
        failure = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        for family, _, _, _, address in found[first:] + found[:first]:
            try:
                return _socket_to(family, address)
            except OSError as error:
                failure = error
        raise failure


def _socket_to(family: int, address: str | tuple[Any, ...]) -> socket.socket:
    """A connected socket. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _FULL)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


async def _send_file(sock: socket.socket, data: bytes) -> None:
    file = _sealed(data)
    try:
        while True:
            try:
                socket.send_fds(sock, [b""], [file], socket.MSG_DONTWAIT)
            except BlockingIOError:
                await _writable(sock)
            else:
                return
    finally:
        os.close(file)


def _sealed(data: bytes) -> int:
    """The descriptor of a file in memory that holds `data` and that nobody can change any more."""
    file = os.memfd_create("dockferry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(file, "wb", closefd=False) as writing:
            writing.write(data)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(file)
        raise
    return file


async def _writable(sock: socket.socket) -> None:
    """Wait until the kernel takes another datagram."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(sock, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
