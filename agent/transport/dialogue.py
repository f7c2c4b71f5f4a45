"""A connection to a peer that answers, and the few of them that a sink keeps: for protocols over plain TCP or TLS.

A protocol is a subclass that makes sense of what is `heard`. What it says goes out without waiting for the peer
to read it: it is bounded by the request, which is held in memory anyway until it is answered.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar, cast

from agent.transport import TransportError, reason
from agent.transport.stream import Address, dial, watch_the_peer
from agent.transport.tls import failure

#: A peer may refuse our certificate once we are done with the handshake, and hang up. Were we to write at once, the
#: loop would meet the broken connection before it has read why.
_TURNS_TO_READ = 2


class Dialogue(asyncio.Protocol, abc.ABC):
    """One connection, from connecting to its loss. `lost` says why it can carry nothing more."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.lost: TransportError | None = None
        self._transport: asyncio.Transport | None = None
        self._change = asyncio.Event()

    @abc.abstractmethod
    def heard(self, data: bytes) -> None:
        """Take what the peer says. Raises TransportError when that makes no sense: the connection is given up."""

    # What the sink asks.

    async def connect(self, context: ssl.SSLContext | None = None) -> None:
        """Connect, with TLS where there is a `context`. Raises TransportError, UntrustedError."""
        try:
            await dial(self.address, self, context)
            for _ in range(_TURNS_TO_READ if context else 0):
                await asyncio.sleep(0)
        except ssl.SSLError as error:
            known = failure(error)
            raise type(known)(f"{self.address}: {known}") from error
        except OSError as error:
            raise TransportError(f"cannot connect to {self.address}: {reason(error)}") from error
        except BaseException:
            self.lose(TransportError("given up"))
            raise

    def say(self, data: bytes) -> None:
        """Send `data`. What becomes of it, `until` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard makes `condition` true. Raises TransportError, UntrustedError when lost."""
        while not condition():
            if self.lost is not None:
                raise self.lost
            self._change.clear()
            await self._change.wait()

    def lose(self, why: TransportError) -> None:
        """Give the connection up, for the first reason there is."""
        if self.lost is None:
            self.lost = type(why)(f"{self.address}: {why}")
        self._change.set()
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Close the connection once what was said is sent."""
        if self._transport is not None:
            self._transport.close()

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        watch_the_peer(transport.get_extra_info("socket"))
        if self.lost is not None:  # cancelled meanwhile
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.lost is None:
            try:
                self.heard(data)
            except TransportError as error:
                self.lose(error)
        self._change.set()

    def eof_received(self) -> None:
        self.lose(TransportError("the peer closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self.lose(failure(exc))
        else:
            self.lose(
                TransportError(reason(exc) if isinstance(exc, OSError) else "the connection was closed")
            )


Talk = TypeVar("Talk", bound=Dialogue)


class Lending(Generic[Talk]):
    """The connections of one sink: as many as there are requests at once, each lent to one of them.

    new    one that is not connected yet
    begin  gets it ready to be used
    """

    def __init__(self, new: Callable[[], Talk], begin: Callable[[Talk], Awaitable[None]]) -> None:
        self._new = new
        self._begin = begin
        self._idle: list[Talk] = []

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Talk]:
        """A connection, for the block. An exception in it, or a cancellation, gives the connection up."""
        talk = self._waiting()
        try:
            if talk is None:
                talk = self._new()
                await self._begin(talk)
            yield talk
        except BaseException:
            if talk is not None:
                talk.lose(TransportError("given up"))
            raise
        if talk.lost is None:
            self._idle.append(talk)

    def end(self) -> list[Talk]:
        """Close the connections that nobody uses: these."""
        ended = []
        while (talk := self._waiting()) is not None:
            talk.end()
            ended.append(talk)
        return ended

    def _waiting(self) -> Talk | None:
        while self._idle:
            talk = self._idle.pop()
            if talk.lost is None:
                return talk
        return None
