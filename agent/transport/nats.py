"""NATS' client protocol: words in lines, and messages that are acknowledged by messages to an inbox of ours.

Source: NATS' docs, "Client Protocol", "NATS Server Authentication" and ADR-26 (TLS), ADR-1 (JetStream's JSON API).
Not nats-py: with it, a record costs ten times as much as all else we do for it. A connection is lent to one
request at a time and given up with it (`agent.transport.dialogue`), so what comes to the inbox is about that one.
"""

from __future__ import annotations

import asyncio
import functools
import re
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

import agent
from agent.transport import TransportError, reason
from agent.transport.dialogue import Dialogue
from agent.transport.stream import Address
from agent.transport.tls import failure

#: Messages sent and not yet acknowledged: a stream of NATS 2.11 holds 10,000 and refuses more (429).
IN_FLIGHT = 4096
_STEP = 1024
_LONGEST_LINE = 64 * 1024
_NO_TLS = "the server speaks no TLS, and this scheme or the options ca, cert and key ask for it"
#: The beginning of errors that pass by themselves, in lower case. All others somebody has to mend.
_PASSING = (
    "authentication timeout",
    "maximum account active connections exceeded",
    "maximum connections exceeded",
    "server shutdown",
    "slow consumer",
    "stale connection",
)


class DeniedError(TransportError):
    """The server does not let us: no further try helps before someone mends that."""


@dataclass(frozen=True, slots=True)
class Info:
    """What the server says of itself: the most bytes of a message, and what has to be signed to log in."""

    max_payload: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came to the inbox: `status` 503 says that nobody listens to the subject; else it is 200."""

    status: int
    body: bytes


class NatsTalk(Dialogue):
    """One connection to a NATS server."""

    def __init__(self, address: Address, inbox_prefix: str) -> None:
        super().__init__(address)
        self.inbox = f"{inbox_prefix}.{secrets.token_hex(11)}".encode()
        self.info = Info(0, "")
        self._offer: Mapping[str, object] | None = None
        self._buffer = bytearray()
        self._greeted = False
        self._waiting: set[int] = set()
        self._answers: dict[int, Answer] = {}
        # Nearly all that is ever heard are acknowledgements: they are read by the run.
        ack = rb"MSG %b\.(\d+) 1 +\d+\r\n\{\"stream\":[^{}\r\n]*\}\r\n" % re.escape(self.inbox)
        self._number = re.compile(ack)
        self._run = re.compile(rb"(?>%b)*+" % ack.replace(rb"(\d+)", rb"\d+"))

    # What the sink asks.

    async def greet(
        self, context: ssl.SSLContext, *, insist: bool, login: Callable[[Info], Mapping[str, str]]
    ) -> None:
        """Connect, speak TLS if the server or `insist` wants it, log in.

        Raises TransportError, UntrustedError, DeniedError.
        """
        await self.connect()
        await self.until(lambda: self._offer is not None)
        offer = self._offer or {}
        if offer.get("tls_required") or (insist and offer.get("tls_available")):
            await self._encrypt(context)
        elif insist:
            raise DeniedError(f"{self.address}: {_NO_TLS}")
        if not offer.get("headers"):
            raise DeniedError(f"{self.address}: the server is older than NATS 2.2, and knows no JetStream")
        about_us = {
            "verbose": False,
            "pedantic": False,
            "echo": False,
            "headers": True,
            "no_responders": True,
            "protocol": 1,
            "lang": "python",
            "name": "dockferry",
            "version": agent.__version__,
            **login(self.info),
        }
        self.say(b"CONNECT %b\r\nSUB %b.* 1\r\nPING\r\n" % (orjson.dumps(about_us), self.inbox))
        await self.until(lambda: self._greeted)

    async def publish(self, commands: Sequence[bytes]) -> Mapping[int, Answer]:
        """Send these; those that are empty stand for nothing. By number, the answers that are no plain yes.

        Returns when each is answered. Raises TransportError, DeniedError.
        """
        self._waiting = {number for number, command in enumerate(commands) if command}
        self._answers = {}
        for start in range(0, len(commands), _STEP):
            self.say(b"".join(commands[start : start + _STEP]))
            unsent = max(0, len(commands) - start - _STEP)
            await self.until(functools.partial(self._waits_for, IN_FLIGHT - _STEP + unsent))
        await self.until(functools.partial(self._waits_for, 0))
        return self._answers

    async def ask(self, subject: str, body: bytes) -> Answer:
        """One question, one answer. Raises TransportError, DeniedError."""
        question = b"PUB %b %b.0 %d\r\n%b\r\n" % (subject.encode(), self.inbox, len(body), body)
        return (await self.publish([question])).get(0, Answer(200, b""))

    def _waits_for(self, most: int) -> bool:
        return len(self._waiting) <= most

    # What the server says.

    def heard(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while True:
            end = self._end_of_run(at)
            if end > at:
                self._waiting.difference_update(map(int, self._number.findall(buffer, at, end)))
                at = end
            end = buffer.find(b"\r\n", at)
            end = self._take(bytes(buffer[at:end]), end + 2) if end >= 0 else end
            if end < 0:
                break
            at = end
        del buffer[:at]
        if len(buffer) > _LONGEST_LINE and b"\r\n" not in buffer:
            raise TransportError("its answer is not NATS'")

    def _end_of_run(self, at: int) -> int:
        run = self._run.match(self._buffer, at)
        return run.end() if run else at

    def _take(self, line: bytes, end: int) -> int:
        """Take in one line, and where it announces one, the message behind it, which begins at `end`.

        Returns where that ends; -1 when it is not all there yet. Raises TransportError, DeniedError.
        """
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"MSG" | b"HMSG":
                return self._take_message(rest.split(), end, headed=word.upper() == b"HMSG")
            case b"PING":
                self.say(b"PONG\r\n")
            case b"PONG":
                self._greeted = True
            case b"INFO":
                self._take_info(rest)
            case b"-ERR":
                raise _error(rest.decode(errors="replace").strip("' "))
            case b"+OK":
                pass
            case _:
                raise TransportError("its answer is not NATS'")
        return end

    def _take_message(self, words: list[bytes], end: int, *, headed: bool) -> int:
        try:
            number = int(words[0].rpartition(b".")[2])
            size = int(words[-1])
            head_size = int(words[-2]) if headed else 0
        except (ValueError, IndexError):
            raise TransportError("its answer is not NATS'") from None
        if len(self._buffer) < end + size + 2:
            return -1
        body = bytes(self._buffer[end : end + size])
        status = re.match(rb"NATS/1\.0 (\d{3})", body) if headed else None
        if number in self._waiting:
            self._waiting.discard(number)
            self._answers[number] = Answer(int(status[1]) if status else 200, body[head_size:])
        return end + size + 2

    def _take_info(self, text: bytes) -> None:
        try:
            offer = orjson.loads(text)
            self.info = Info(int(offer["max_payload"]), str(offer.get("nonce", "")))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise TransportError("its answer is not NATS'") from None
        self._offer = offer

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        if self._transport is None:
            raise RuntimeError("TLS before there is a connection")
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                self._transport, self, context, server_hostname=self.address.host
            )
        except ssl.SSLError as error:
            known = failure(error)
            raise type(known)(f"{self.address}: {known}") from error
        except OSError as error:
            raise TransportError(f"{self.address}: {reason(error)}") from error
        if encrypted is None:
            raise TransportError(f"{self.address}: the connection was closed")
        self._transport = encrypted


def _error(text: str) -> TransportError:
    """What the server said before it hung up; of a permission, it would not have."""
    if text.lower().startswith(_PASSING):
        return TransportError(text)
    return DeniedError(text)
