"""AMQP 0-9-1 for whoever publishes: one connection with one channel, on which the broker confirms each message.

Source: the specification, 2.2.4 (the course of a connection), and RabbitMQ's docs, "Publisher Confirms",
"Blocked Connection Notifications". Not aio-pika: with it a message costs a hundred times as much
(docs/decisions/own-protocols.md). No heartbeats: the kernel's keepalive notices a broker that is gone.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.transport import TransportError
from agent.transport.amqp_frames import (
    GREETING,
    HEADER,
    METHOD,
    Frames,
    Method,
    close,
    declare_exchange,
    declare_queue,
    message_id,
    read_short_text,
    said,
    short_text,
    start_ok,
)
from agent.transport.dialogue import Dialogue
from agent.transport.stream import Address

#: How long a broker that is short of memory or disk may keep a request waiting.
BLOCKED_S = 2.0
#: How long a broker may take to answer our good-bye.
PARTING_S = 1.0
_LARGEST_FRAME = 128 * 1024  # RabbitMQ's own
_LEAST_SECRET = 4  # a shorter one would take letters out of other words


class ClosedError(TransportError):
    """The broker has closed the connection, or the channel. `code` is one of the specification, 1.1."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Receipts:
    """What became of some messages, counted from 0: all but these are with the broker.

    rejected  these it did not take
    returned  these, by message id, no queue wanted, and why
    unknown   of these nothing is known, for the reason `broken`
    """

    rejected: frozenset[int] = frozenset()
    returned: Mapping[bytes, str] = field(default_factory=dict)
    unknown: frozenset[int] = frozenset()
    broken: TransportError | None = None


class AmqpTalk(Dialogue):
    """One connection to a broker. `frame_bytes`: the largest frame that it takes."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.frame_bytes = _LARGEST_FRAME
        self._frames = Frames()
        self._answers: deque[tuple[Method, bytes]] = deque()
        self._blocked: str | None = None
        self._published = 0
        self._confirmed = 0  # every message up to this one
        self._open: set[int] = set()
        self._rejected: set[int] = set()
        self._returned: dict[bytes, str] = {}
        self._returning = ""
        self._secret = ""
        self._parting: asyncio.TimerHandle | None = None
        self._parted = asyncio.Event()

    async def begin(self, context: ssl.SSLContext | None, user: str, password: str, vhost: str) -> None:
        """Connect and log in. Raises TransportError, UntrustedError, ClosedError."""
        await self.connect(context)
        self._secret = password if password != user and len(password) >= _LEAST_SECRET else ""
        self.say(GREETING)
        await self._answer(Method.START)
        self.say(start_ok(user, password))
        channels, largest, _ = struct.unpack(">HLH", await self._answer(Method.TUNE))
        self.frame_bytes = min(largest or _LARGEST_FRAME, _LARGEST_FRAME)
        self.say(said(Method.TUNE_OK, struct.pack(">HLH", channels, self.frame_bytes, 0), channel=0))
        self.say(said(Method.OPEN, short_text(vhost) + b"\0\0", channel=0))
        await self._answer(Method.OPEN_OK)
        self.say(said(Method.CHANNEL_OPEN, b"\0"))
        await self._answer(Method.CHANNEL_OPEN_OK)
        self.say(said(Method.SELECT, b"\0"))
        await self._answer(Method.SELECT_OK)

    async def publish(self, messages: bytes, count: int) -> Receipts:
        """Send `messages`, `count` of them, and wait until each is confirmed, or never will be."""
        first = self._published + 1
        self._open = set(range(first, first + count))
        self._rejected, self._returned = set(), {}
        broken = None
        try:
            await self._unblocked()
            self._published += count
            self.say(messages)
            while self._open:
                await self.until(lambda: not self._open or self._blocked is not None)
                await self._unblocked()
        except TransportError as error:
            broken = error
        return Receipts(
            frozenset(tag - first for tag in self._rejected),
            self._returned,
            frozenset(tag - first for tag in self._open),
            broken,
        )

    async def find_exchange(self, name: str) -> None:
        """Raises ClosedError when there is none, or it may not be asked for."""
        self.say(declare_exchange(name))
        await self._answer(Method.EXCHANGE_DECLARE_OK)

    async def find_queue(self, name: str) -> None:
        """Raises ClosedError when there is none, or it may not be asked for."""
        self.say(declare_queue(name))
        await self._answer(Method.QUEUE_DECLARE_OK)

    def end(self) -> None:
        """Take leave: the connection closes when the broker agrees, or after a while.

        A broker that finds it closed before warns of that in its log.
        """
        if not self._parted.is_set():
            self.say(close())
            why = TransportError("it did not answer our good-bye")
            self._parting = asyncio.get_running_loop().call_later(PARTING_S, self.lose, why)

    async def ended(self) -> None:
        """Wait until the connection is closed, which `end` began."""
        await self._parted.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            await super().until(condition)
        except ClosedError:
            await self.ended()
            raise

    def data_received(self, data: bytes) -> None:
        if isinstance(self.lost, ClosedError):
            super().end()  # that was the answer to our good-bye
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._parted.set()
        if self._parting is not None:
            self._parting.cancel()

    async def _unblocked(self) -> None:
        """Wait a while for a broker that is short of something, or for what it still confirms."""
        try:
            async with asyncio.timeout(BLOCKED_S):
                await self.until(lambda: self._blocked is None or (not self._open))
        except TimeoutError:
            self.lose(TransportError(f"it takes nothing for now: {self._blocked}"))

    async def _answer(self, wanted: Method) -> bytes:
        """The arguments of the next method heard, which has to be this one."""
        await self.until(lambda: bool(self._answers))
        method, arguments = self._answers.popleft()
        if method is not wanted:
            raise TransportError(f"{self.address}: it answered {method.name}, not {wanted.name}")
        return arguments

    def heard(self, data: bytes) -> None:
        try:
            for kind, payload in self._frames.of(data):
                if kind == METHOD:
                    self._method(Method(struct.unpack_from(">HH", payload)), payload[4:])
                elif kind == HEADER:  # only of what it returns
                    self._returned[message_id(payload)] = self._returning
        except (ValueError, IndexError, struct.error):
            raise TransportError("it says what nobody asked for") from None

    def _method(self, method: Method, arguments: bytes) -> None:
        match method:
            case Method.ACK | Method.NACK:
                tag, flags = struct.unpack(">QB", arguments)
                self._confirm(tag, multiple=bool(flags & 1), taken=method is Method.ACK)
            case Method.RETURN:
                self._returning = f"{int.from_bytes(arguments[:2], 'big')} {self._text(arguments, 2)}"
            case Method.BLOCKED:
                self._blocked = self._text(arguments, 0)
            case Method.UNBLOCKED:
                self._blocked = None
            case Method.CLOSE | Method.CHANNEL_CLOSE:
                self._closed(method, arguments)
            case Method.CLOSE_OK:
                super().end()
            case _:
                self._answers.append((method, arguments))

    def _confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        tags = self._open.intersection(range(self._confirmed + 1, tag + 1) if multiple else (tag,))
        self._open -= tags
        if multiple:
            self._confirmed = tag
        if not taken:
            self._rejected |= tags

    def _text(self, arguments: bytes, at: int) -> str:
        """The broker's words as they may be quoted: it may repeat the password."""
        text = read_short_text(arguments, at)[0].decode(errors="replace")
        return text.replace(self._secret, "***") if self._secret else text

    def _closed(self, method: Method, arguments: bytes) -> None:
        code = int.from_bytes(arguments[:2], "big")
        self.lost = ClosedError(f"{self.address}: it answered {code}: {self._text(arguments, 2)}", code)
        if method is Method.CLOSE:
            self.say(said(Method.CLOSE_OK, channel=0))
            super().end()
        else:
            self.say(said(Method.CHANNEL_CLOSE_OK))
            self.end()
