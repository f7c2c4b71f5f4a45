"""redis, rediss: entries of a Redis stream, or elements of a list.

Source: Redis' docs, XADD, RPUSH, ACL, and its error prefixes (server.c, createSharedObjects). All commands of a
request go out together and each is answered for itself; what was not answered when a connection breaks is sent
again, which repeats at most that.
"""

from __future__ import annotations

import itertools
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.batch import Batch, Container
from agent.encode.redis import rpush, xadd
from agent.errors import SettingsError
from agent.options import SECRET, TEXT, MiB, Secret, choice, integer, option, optional
from agent.sinks.base import (
    Delivered,
    Limits,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    Sink,
    Target,
    TlsOptions,
    TooLarge,
)
from agent.sinks.verdicts import Verdict, outcome
from agent.tag import Tag
from agent.transport import TransportError, UntrustedError
from agent.transport.dialogue import Lending
from agent.transport.resp import Replies, RespTalk, command
from agent.transport.stream import Address

PORT = 6379
_LONGEST_WHY = 500
#: The first word of errors that a person has to mend. All others pass: OOM, LOADING, READONLY and their like.
_MENDED = {"ASK", "CROSSSLOT", "DENIED", "MOVED", "NOAUTH", "NOPERM", "WRONGPASS", "WRONGTYPE"}
#: The same, of errors that begin with ERR.
_MENDED_TEXTS = re.compile(r"unknown command|invalid password|AUTH|DB index|SELECT is not allowed")
_ABOUT_THE_KEY = re.compile(r"WRONGTYPE|NOPERM .*\bkeys?\b")
_ABOUT_SIZE = re.compile(r"invalid bulk length|size exceeded|exceeds maximum")


class _DeniedError(Exception):
    """An error instead of a welcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions(TlsOptions):
    """The options of `redis://` and `rediss://`."""

    user: str | None = option(optional(TEXT), None, help="name in Redis' access control list")
    password: Secret | None = option(optional(SECRET), None, help="password to it, or to `requirepass`")
    type: str = option(
        choice("stream", "list"), "stream", help="what the key holds: XADD to a stream or RPUSH to a list"
    )
    maxlen: int = option(
        integer(0, 1 << 62),
        1_000_000,
        help="entries that a stream keeps, about (MAXLEN ~); 0: all. A list keeps all",
    )


class RedisSink(Sink[RedisOptions]):
    """Redis streams and lists."""

    limits = Limits(request_bytes=64 * MiB)

    def __init__(self, target: Target, options: RedisOptions) -> None:
        super().__init__(target, options)
        database, _, key = target.path.removeprefix("/").partition("/")
        if not target.host or not (database.isascii() and database.isdigit()) or not key:
            wanted = f"{target.scheme}://host:{PORT}/0/logs"
            raise SettingsError([f"sink {target.name}: host, database and key are needed, as in {wanted}"])
        if options.user is not None and options.password is None:
            raise SettingsError([f"sink {target.name}: a user needs a password"])
        try:
            self._key = Tag.parse(key)
        except ValueError as error:
            raise SettingsError([f"sink {target.name}: the key {key!r} is not {error}"]) from None
        self._database = int(database)
        self._address = Address(target.host, target.port or PORT)
        self._context: ssl.SSLContext | None = None
        self._talks = Lending(lambda: RespTalk(self._address), self._begin)

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        if self.target.scheme == "rediss":
            self._context = self.options.context()

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        return await self._attempt(self._deliver(batches))

    async def probe(self) -> Outcome:
        return await self._attempt(self._probe())

    async def close(self) -> None:
        self._talks.end()

    async def _attempt(self, attempt: Awaitable[Outcome]) -> Outcome:
        try:
            return await attempt
        except UntrustedError as error:
            return Misconfigured(str(error))
        except TransportError as error:
            return Retry(str(error))
        except _DeniedError as error:
            return self._judge_error(str(error))

    async def _begin(self, talk: RespTalk) -> None:
        await talk.connect(self._context)
        commands = []
        if self.options.password is not None:
            names = [] if self.options.user is None else [self.options.user]
            commands.append(command("AUTH", *names, self.options.password.reveal()))
        if self._database:
            commands.append(command("SELECT", str(self._database)))
        await _asked(talk, *commands)

    async def _deliver(self, batches: Sequence[Batch]) -> Outcome:
        if self.options.type == "list":
            commands = rpush(batches, self._key_of)
        else:
            commands = xadd(batches, self._key_of, self.options.maxlen)
        async with self._talks.one() as talk:
            replies = await talk.ask(commands.data, len(commands.records))
            if any(error.startswith("READONLY") for error in replies.errors.values()):
                talk.lose(TransportError("a replica"))  # its name may stand for another server by now
        return self._judge(commands.records, replies)

    async def _probe(self) -> Outcome:
        """A transaction that is discarded: Redis looks at each command of it, and does none."""
        async with self._talks.one() as talk:
            if self._key.varies:
                await _asked(talk, command("PING"))
                return Delivered()
            try:
                await _asked(talk, command("MULTI"))
            except _DeniedError as error:
                if "multi" in str(error).lower():  # it is transactions that are not allowed, or not known
                    return Delivered()
                raise
            key = str(self._key)
            write = ("RPUSH", key, "") if self.options.type == "list" else ("XADD", key, "*", "", "")
            replies = await talk.ask(command(*write) + command("DISCARD") + command("TYPE", key), 3)
        if replies.broken is not None:
            raise replies.broken
        if 0 in replies.errors:
            raise _DeniedError(replies.errors[0])
        kind = replies.said[2]
        if kind.startswith("-") or kind in {"+none", f"+{self.options.type}"}:
            return Delivered()
        return Misconfigured(f"the key {key!r} holds a {kind[1:]}, not a {self.options.type}")

    def _key_of(self, container: Container) -> bytes:
        name = ("redis key", str(self._key))
        key = container.constants.get(name)
        if key is None:
            key = container.constants[name] = self._key.render(container).encode()
        return key

    def _judge(self, counts: Sequence[int], replies: Replies) -> Outcome:
        """What the replies mean for the records, of which each command carries so many as `counts` says."""
        total = sum(counts)
        if not replies.errors and replies.count == len(counts):
            return Delivered()
        first_rows = [0, *itertools.accumulate(counts)]
        verdicts: dict[int, Verdict] = {}
        for number, error in replies.errors.items():
            verdict = self._judge_error(error, alone=counts[number] == 1)
            verdicts |= dict.fromkeys(range(first_rows[number], first_rows[number + 1]), verdict)
        if replies.broken is not None:
            verdicts |= dict.fromkeys(range(first_rows[replies.count], total), Retry(str(replies.broken)))
        return outcome(total, verdicts)

    def _judge_error(self, error: str, *, alone: bool = True) -> Verdict:
        """What an error means for the records of its command; alone: that is only one."""
        why = f"it answered {self._without_secrets(error)}"
        if self._key.varies and _ABOUT_THE_KEY.match(error):
            return Refused(why)  # of one container, which must not hold up the others
        if error.partition(" ")[0] in _MENDED or _MENDED_TEXTS.search(error):
            return Misconfigured(why)
        if _ABOUT_SIZE.search(error):
            return Refused(why) if alone else TooLarge(why)
        return Retry(why)

    def _without_secrets(self, error: str) -> str:
        """`error` as it may be quoted: an unknown command is repeated with its arguments."""
        password = self.options.password.reveal() if self.options.password is not None else ""
        return (error.replace(password, "***") if password else error)[:_LONGEST_WHY]


async def _asked(talk: RespTalk, *commands: bytes) -> None:
    """Send commands that have to succeed. Raises TransportError, _DeniedError."""
    replies = await talk.ask(b"".join(commands), len(commands))
    if replies.errors:
        raise _DeniedError(next(iter(replies.errors.values())))
    if replies.broken is not None:
        raise replies.broken
