"""fluent+tcp, fluent+tls, fluent+unix: the Forward protocol of Fluentd and Fluent Bit.

Source: fluentd's "Forward Protocol Specification v1". A request is a message for each tag in it, all sent in one go;
each is acknowledged for itself once the receiver has put it into its buffer. What was not acknowledged when a
connection breaks is sent again.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.batch import Batch, Container
from agent.encode.compress import compressed
from agent.encode.forward import CHUNK_BYTES, Chunk, chunks
from agent.errors import SettingsError
from agent.options import BOOLEAN, SECRET, SIZE, TEXT, KiB, Secret, choice, option, optional, show_size
from agent.sinks.base import Delivered, Misconfigured, Outcome, Refused, Retry, Sink, Target, TlsOptions
from agent.sinks.over_socket import address_of
from agent.sinks.verdicts import Verdict, outcome
from agent.tag import TAG, Tag
from agent.transport import TransportError, UntrustedError
from agent.transport.dialogue import Lending
from agent.transport.forward import Credentials, DeniedError, ForwardTalk
from agent.transport.stream import Address, LineStream

PORT = 24224
LEAST_CHUNK_BYTES = 64 * KiB
CHUNK_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FluentOptions(TlsOptions):
    """The options of `fluent+tcp://`, `fluent+tls://` and `fluent+unix://`."""

    tag: Tag | None = option(
        optional(TAG), None, help="the tag there; unset: the record's own", example="docker.{{.Name}}"
    )
    ack: bool = option(
        BOOLEAN,
        True,
        help="wait until the receiver has put it into its buffer; without, until its kernel has it",
    )
    chunk_bytes: int = option(
        SIZE,
        CHUNK_BYTES,
        help="most bytes of one message, before compression; less than the receiver's chunk_size_limit or "
        "buffer_max_size",
    )
    compress: str = option(choice("none", "gzip"), "none", help="compression of the entries")
    shared_key: Secret | None = option(
        optional(SECRET), None, help="shared_key of the receiver's <security> section"
    )
    user: str | None = option(optional(TEXT), None, help="a user of that section")
    password: Secret | None = option(optional(SECRET), None, help="password to it")


class FluentSink(Sink[FluentOptions]):
    """Fluentd, Fluent Bit and whatever else takes the Forward protocol."""

    def __init__(self, target: Target, options: FluentOptions) -> None:
        super().__init__(target, options)
        if options.chunk_bytes < LEAST_CHUNK_BYTES:
            least = show_size(LEAST_CHUNK_BYTES)
            raise SettingsError([f"sink {target.name}: option 'chunk_bytes' is at least {least}"])
        self._address = _address(target)
        self._credentials = _credentials(target, options)
        self._context: ssl.SSLContext | None = None
        self._talks = Lending(lambda: ForwardTalk(self._address, self._credentials), self._begin)
        self._mute = LineStream(self._address)

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        if self.target.transport == "tls":
            self._context = self.options.context()
            self._mute = LineStream(self._address, self._context)

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        most = self.options.chunk_bytes
        made, too_large = chunks(batches, self._tag, most)
        why = f"with its metadata it has more than {show_size(most)}, chunk_bytes"
        verdicts: dict[int, Verdict] = dict.fromkeys(too_large, Refused(why))
        if made:
            verdicts |= await (self._acknowledged(made) if self.options.ack else self._sent(made))
        return outcome(sum(map(len, batches)), verdicts)

    async def probe(self) -> Outcome:
        return await self._attempt(self._greeted()) or Delivered()

    async def close(self) -> None:
        self._talks.end()
        self._mute.close()

    def _tag(self, container: Container) -> str:
        return container.tag if self.options.tag is None else self.options.tag.render(container)

    async def _acknowledged(self, made: Sequence[Chunk]) -> Mapping[int, Verdict]:
        """Send them, and wait for the acknowledgement of each; the rows without one."""
        ids = [base64.b64encode(secrets.token_bytes(CHUNK_ID_BYTES)) for _ in made]
        waiting = set(ids)
        fault = await self._attempt(self._exchange(await self._messages(made, ids), waiting))
        if fault is None:
            return {}
        return _rows([chunk for chunk, id_ in zip(made, ids, strict=True) if id_ in waiting], fault)

    async def _sent(self, made: Sequence[Chunk]) -> Mapping[int, Verdict]:
        """Send them to a receiver that acknowledges nothing, unless it demands a shared key."""
        fault = None
        if not self._mute.connected:
            fault = await self._attempt(self._greeted())
        if fault is None:
            fault = await self._attempt(self._mute.send(await self._messages(made)))
        return {} if fault is None else _rows(made, fault)

    async def _messages(self, made: Sequence[Chunk], ids: Sequence[bytes] = ()) -> bytes:
        method, parts = self.options.compress, []
        for number, chunk in enumerate(made):
            entries = await compressed(chunk.entries, method)
            parts.append(chunk.message(entries, method, ids[number].decode() if ids else None))
        return b"".join(parts)

    async def _exchange(self, messages: bytes, waiting: set[bytes]) -> None:
        async with self._talks.one() as talk:
            await talk.send(messages, waiting)

    async def _greeted(self) -> None:
        async with self._talks.one() as talk:
            if self._credentials is None:
                await talk.listen()

    async def _begin(self, talk: ForwardTalk) -> None:
        await talk.connect(self._context)
        await talk.greet()

    async def _attempt(self, attempt: Awaitable[None]) -> Retry | Misconfigured | None:
        try:
            async with asyncio.timeout(self.options.timeout):
                await attempt
        except TimeoutError:
            return Retry(f"{self._address} did not answer within {self.options.timeout:g} s")
        except (UntrustedError, DeniedError) as error:
            return Misconfigured(str(error))
        except TransportError as error:
            return Retry(str(error))
        return None


def _rows(made: Iterable[Chunk], fault: Verdict) -> Mapping[int, Verdict]:
    return {row: fault for chunk in made for rows in chunk.rows for row in rows}


def _address(target: Target) -> Address:
    """Raises SettingsError."""
    if target.transport != "unix":
        return address_of(target, PORT)
    if target.host or not target.path.strip("/"):
        raise SettingsError(
            [f"sink {target.name}: the path of a socket is needed, as in fluent+unix:///run/fluent.sock"]
        )
    return Address(path=target.path)


def _credentials(target: Target, options: FluentOptions) -> Credentials | None:
    """Raises SettingsError."""
    problems = []
    if (options.user is None) != (options.password is None):
        problems.append("user and password go together")
    if options.shared_key is None:
        if options.user is not None:
            problems.append("user and password need shared_key, too")
    elif not options.ack:
        problems.append("a receiver with shared_key acknowledges: leave ack=false out")
    if problems:
        raise SettingsError([f"sink {target.name}: {problem}" for problem in problems])
    if options.shared_key is None:
        return None
    return Credentials(options.shared_key, options.user or "", options.password)
