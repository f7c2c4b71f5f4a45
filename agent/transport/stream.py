"""A stream of bytes to a peer that never answers: TCP, TLS, Unix socket.

Raw lines have no receipt but the kernel's: `send` returns when the peer's kernel has acknowledged every byte.
Linux tells by SIOCOUTQ (tcp(7), unix(7)): the bytes not yet acknowledged; of a Unix socket, not yet read.
There is no event for it, so it is asked in growing pauses. Elsewhere the kernel's buffer must do.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import sys
import termios
from dataclasses import dataclass
from typing import cast

from aiohappyeyeballs import start_connection

from agent.transport import TransportError, reason
from agent.transport.tls import Tls

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.05
HAPPY_EYEBALLS_DELAY_S = 0.25  # RFC 8305, 8
#: Longest wait for what follows a TLS 1.3 handshake: the peer's tickets, or its refusal of our certificate.
VERDICT_S = 1.0
KEEPALIVE_IDLE_S = 15
KEEPALIVE_EVERY_S = 5
KEEPALIVE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Where the peer listens: `host` and `port`, or the `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


class LineStream:
    """One connection at a time, made when it is needed and given up at the first fault.

    After an error nothing is known of what was sent last: it has to be sent again, whole, and goes over a new
    connection, so that the peer never sees the rest of a torn line.
    """

    def __init__(self, address: Address, context: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._context = context
        self._wire: _Wire | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection stands, as far as the kernel has told."""
        return self._wire is not None and self._wire.lost is None

    async def connect(self) -> None:
        """Connect unless connected; with TLS, shake hands. Raises TransportError, UntrustedError."""
        await self._connection()

    async def send(self, data: bytes) -> None:
        """Send `data`, and wait until the peer's kernel has it. Raises TransportError, UntrustedError.

        Without a bound of its own: a peer that stops reading keeps it waiting. Cancelled, it gives the
        connection up.
        """
        wire = await self._connection()
        try:
            await wire.send(data)
        except TransportError as error:
            raise type(error)(f"{self.address}: {error}") from error
        except BaseException:
            wire.lose(TransportError("given up in the middle of a line"))
            raise

    def close(self) -> None:
        """Let go of the connection. What `send` has returned for is with the peer's kernel already."""
        if self._wire is not None:
            self._wire.end()
            self._wire = None

    async def _connection(self) -> _Wire:
        if self._wire is not None and self.connected:
            return self._wire
        self.close()
        wire = _Wire(Tls(self._context, self.address.host) if self._context else None)
        try:
            await dial(self.address, wire)
            await wire.established()
        except OSError as error:
            raise TransportError(f"cannot connect to {self.address}: {reason(error)}") from error
        except TransportError as error:
            raise type(error)(f"{self.address}: {error}") from error
        except BaseException:
            wire.lose(TransportError("given up"))
            raise
        self._wire = wire
        return wire


class _Wire(asyncio.Protocol):
    """One connection, from connecting to its loss. `lost` says why it can carry nothing more."""

    def __init__(self, tls: Tls | None) -> None:
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._change = asyncio.Event()
        self._heard = False  # something after the handshake
        self.lost: TransportError | None = None

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)  # resume_writing() then means: all is in the kernel
        watch_the_peer(transport.get_extra_info("socket"))
        if self.lost is not None:  # cancelled meanwhile
            self._transport.abort()
        elif self._tls is not None:
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            return
        self._heard |= self._tls.ready
        try:
            open_ = self._tls.receive(data)
        except TransportError as error:
            self._flush()  # an alert: the peer may log what we did not like
            self.lose(error)
        else:
            self._flush()
            if not open_:
                self.lose(TransportError("the peer ended the connection"))
        self._change.set()

    def eof_received(self) -> None:
        self.lose(TransportError("the peer closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose(TransportError(reason(exc) if isinstance(exc, OSError) else "the connection was closed"))

    def resume_writing(self) -> None:
        self._change.set()

    # What LineStream asks.

    async def established(self) -> None:
        while self._transport is None or (self._tls is not None and not self._tls.ready):
            await self._news()
        self._check()
        if self._tls is not None and self._tls.judged_late:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VERDICT_S):
                    while not self._heard:
                        await self._news()

    async def send(self, data: bytes) -> None:
        if self._tls is None:
            self._write(data)
        else:
            self._tls.send(data)
            self._flush()
        while self._transport is not None and self._transport.get_write_buffer_size():
            await self._news()
        pause = FIRST_PAUSE_S
        while self._unacknowledged():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news()
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def lose(self, why: TransportError) -> None:
        """Give the connection up, for the first reason there is."""
        if self.lost is None:
            self.lost = why
        self._change.set()
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Close the connection in good order, if it is in any."""
        if self._tls is not None and self.lost is None:
            self._tls.end()
            self._flush()
            if self._transport is not None and not self._transport.get_write_buffer_size():
                self._transport.close()
        self.lose(TransportError("closed"))

    def _check(self) -> None:
        if self.lost is not None:
            raise self.lost

    async def _news(self) -> None:
        """Wait until something happens to the connection. Raises TransportError when it is lost."""
        self._check()
        self._change.clear()
        await self._change.wait()
        self._check()

    def _flush(self) -> None:
        if self._tls is not None and (ciphertext := self._tls.outgoing()):
            self._write(ciphertext)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _unacknowledged(self) -> bool:
        self._check()
        if self._transport is None:
            return True
        sock = self._transport.get_extra_info("socket")
        waiting = _unacknowledged_bytes(sock)
        if not waiting and (code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            self.lose(TransportError(os.strerror(code)))  # a reset that the loop has not seen yet
        self._check()
        return waiting > 0


async def dial(
    address: Address, protocol: asyncio.BaseProtocol, context: ssl.SSLContext | None = None
) -> None:
    """Connect `protocol`, over asyncio's own TLS where there is a `context`. Raises OSError."""
    loop = asyncio.get_running_loop()
    name = address.host if context else None
    if address.path is not None:
        await loop.create_unix_connection(lambda: protocol, address.path, ssl=context, server_hostname=name)
        return
    # Not create_connection(host, port): on Python 3.11 it leaks the socket when cancelled while it races.
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    sock = await start_connection(found, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S)
    await loop.create_connection(lambda: protocol, sock=sock, ssl=context, server_hostname=name)


def watch_the_peer(sock: socket.socket) -> None:
    """Have the kernel notice a peer that vanished without a word while nothing is under way."""
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TRIES)


def _unacknowledged_bytes(sock: socket.socket) -> int:
    """Bytes in the kernel's buffer that the peer's has not acknowledged; 0 where the kernel does not tell."""
    if sys.platform != "linux":
        return 0
    # SIOCOUTQ is TIOCOUTQ under another name (linux/sockios.h).
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
