"""Datagrams to one peer: UDP, and Unix sockets. Sent means that our kernel has taken it.

Sources: udp(7), unix(7). A Unix socket whose reader lags makes the sender wait, and loses nothing. UDP has no such
brake and no receipt: what passes the receiver's buffer is gone, so it is sent in small bursts at a bounded rate.
That nobody listens, a host tells by ICMP (RFC 1122, 4.1.3.3): soon after, not at once, and not through firewalls.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import Any

from agent.transport import TransportError, reason
from agent.transport.stream import Address

#: A receiver's buffer of the usual 208 KiB holds some 160 small datagrams: a burst must leave it room.
BURST_DATAGRAMS = 32
BURST_BYTES = 64 * 1024
#: A timer is late by a millisecond or two: so much may be caught up.
CATCH_UP_S = 0.003
#: Longest wait for the word that nobody listens.
VERDICT_S = 0.01
#: UDP does not notice that a name leads elsewhere by now: it has to be asked.
RESOLVE_EVERY_S = 10.0
NO_BUFFER_PAUSE_S = 0.001
SEND_BUFFER_BYTES = 8 * 1024 * 1024  # as much of it as net.core.wmem_max allows
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NO_BUFFER = {errno.ENOBUFS, errno.ENOMEM}


class OversizeError(TransportError):
    """The kernel takes no datagram of that size; those before it were sent."""


@dataclass(slots=True)
class Pace:
    """Spreads datagrams over time: `due` is when the next may go."""

    per_second: float
    due: float = 0.0

    def delay(self, size: int, count: int, now: float) -> float:
        """Seconds to wait after `count` datagrams of `size` bytes in all; a large one counts as several."""
        self.due = max(self.due, now - CATCH_UP_S) + (count + size // 1024) / self.per_second
        return self.due - now


class Datagrams:
    """One socket at a time, connected when it is needed and given up at the first fault.

    per_second  most datagrams of up to 1 KiB in a second; None: as fast as the kernel takes them
    """

    def __init__(self, address: Address, per_second: float | None = None) -> None:
        self.address = address
        self._pace = Pace(per_second) if per_second is not None else None
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
                while waiting:
                    await self._burst(sock, waiting)
                await self._verdict(sock)
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

    async def _burst(self, sock: socket.socket, waiting: deque[bytes]) -> None:
        """Send some, then give others their turn, and the receiver time."""
        size, count, full = 0, 0, False
        while waiting and count < BURST_DATAGRAMS and size < BURST_BYTES and not full:
            datagram = waiting[0]
            try:
                sock.send(datagram)
            except BlockingIOError:
                full = True
            except OSError as error:
                short = error.errno in _NO_BUFFER  # of memory in one piece, where the datagram is large
                if error.errno == errno.EMSGSIZE or (short and len(datagram) > BURST_BYTES):
                    raise OversizeError(f"{self.address}: {reason(error)}") from error
                if not short:
                    raise
                await asyncio.sleep(NO_BUFFER_PAUSE_S)
            else:
                waiting.popleft()
                size, count = size + len(datagram), count + 1
        if full:
            await _writable(sock)
        elif self._pace is None:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(self._pace.delay(size, count, asyncio.get_running_loop().time()))

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
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
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
                socket.send_fds(sock, [b""], [file])
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
