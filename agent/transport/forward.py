"""One connection of the Forward protocol: the handshake that opens it, and the acknowledgements of what was sent.

Source: fluentd's "Forward Protocol Specification v1"; fluentd's lib/fluent/plugin/out_forward/handshake_protocol.rb
and Fluent Bit's plugins/in_forward, which takes nothing but text for salt and digests, and hangs up on a wrong key
without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import msgpack

from agent.options import Secret
from agent.transport import TransportError, UntrustedError
from agent.transport.dialogue import Dialogue
from agent.transport.stream import Address

#: What we call ourselves: a receiver of the same name would be taken for a loop.
HOSTNAME = b"dockferry"
#: How long a receiver that demands a shared key may take to say so.
GREETING_S = 1.0
LONGEST_ANSWER_BYTES = 64 * 1024


class DeniedError(TransportError):
    """The receiver does not accept who we are, or we not it: no further try helps before someone mends that."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the receiver's `<security>` section demands."""

    shared_key: Secret
    user: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Helo:
    """The receiver's greeting: a number used once, and the salt for a password."""

    nonce: bytes
    auth: bytes


def ping(helo: Helo, credentials: Credentials, salt: bytes) -> bytes:
    """Our answer to its greeting; `salt` is ASCII."""
    password = credentials.password.reveal() if credentials.password is not None else ""
    proof = _digest(helo.auth, credentials.user.encode(), password.encode()) if credentials.user else ""
    key = credentials.shared_key.reveal().encode()
    message = ["PING", HOSTNAME.decode(), salt.decode(), _digest(salt, HOSTNAME, helo.nonce, key)]
    return bytes(msgpack.packb([*message, credentials.user, proof]))


def check_pong(pong: Sequence[object], helo: Helo, credentials: Credentials, salt: bytes) -> None:
    """Whether it accepts us, and knows the key itself. Raises DeniedError."""
    match pong:
        case [b"PONG", True, _, bytes(hostname), bytes(digest)]:
            key = credentials.shared_key.reveal().encode()
            if not hmac.compare_digest(_digest(salt, hostname, helo.nonce, key).encode(), digest):
                raise DeniedError("it does not know the shared key itself")
        case [b"PONG", False, bytes(why), *_]:
            raise DeniedError(f"it refuses us: {why[:200].decode(errors='replace')}")
        case _:
            raise TransportError("its answer is no Forward protocol")


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


class ForwardTalk(Dialogue):
    """One connection to a Forward receiver.

    credentials  None: it must not ask for any
    """

    def __init__(self, address: Address, credentials: Credentials | None) -> None:
        super().__init__(address)
        self._credentials = credentials
        self._unpacker = msgpack.Unpacker(
            raw=True, strict_map_key=False, max_buffer_size=LONGEST_ANSWER_BYTES
        )
        self._helo: Helo | None = None
        self._salt = secrets.token_hex(16).encode()
        self._accepted = False
        self._waiting: set[bytes] = set()

    async def greet(self) -> None:
        """Shake hands, where there are credentials. Raises TransportError, DeniedError."""
        if self._credentials is None:
            return
        await self.until(lambda: self._helo is not None)
        try:
            await self.until(lambda: self._accepted)
        except (DeniedError, UntrustedError):
            raise
        except TransportError as error:
            raise DeniedError(f"{error}, instead of accepting the shared key or the user") from error

    async def listen(self) -> None:
        """Give a receiver that demands a shared key the time to say so. Raises DeniedError when it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GREETING_S):
                await self.until(lambda: False)

    async def send(self, data: bytes, waiting: set[bytes]) -> None:
        """Send messages, and wait until their chunk ids are no longer `waiting`. Raises TransportError, DeniedError.

        Those left in `waiting` by an error are not acknowledged.
        """
        self._waiting = waiting
        self.say(data)
        await self.until(lambda: not waiting)

    def heard(self, data: bytes) -> None:
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                self._take(message)
        except (ValueError, msgpack.UnpackException) as error:
            raise TransportError("its answer is no Forward protocol") from error

    def _take(self, message: object) -> None:
        match message:
            case {b"ack": bytes(chunk)}:
                self._waiting.discard(chunk)
            case [b"HELO", dict(options)]:
                if self._credentials is None:
                    raise DeniedError("it demands a shared key: set shared_key")
                self._helo = Helo(_binary(options.get(b"nonce")), _binary(options.get(b"auth")))
                self.say(ping(self._helo, self._credentials, self._salt))
            case [b"PONG", *_] as pong if self._helo is not None and self._credentials is not None:
                check_pong(pong, self._helo, self._credentials, self._salt)
                self._accepted = True
            case _:
                raise TransportError("its answer is no Forward protocol")


def _binary(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
