"""amqp, amqps: messages to an exchange of RabbitMQ, or of another broker that speaks AMQP 0-9-1.

Source: the specification, 1.1 (reply codes), and RabbitMQ's docs, "Reliability Guide". Each message is persistent
and confirmed, and `mandatory`: one that no queue wants comes back instead of vanishing.
"""

from __future__ import annotations

import itertools
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.batch import Batch, Container
from agent.encode.amqp import Messages, a_record_each, many_records_each
from agent.errors import SettingsError
from agent.options import BOOLEAN, SECRET, TEXT, MiB, Secret, choice, option, optional
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
from agent.tag import TAG, Tag
from agent.transport import TransportError, UntrustedError
from agent.transport.amqp import AmqpTalk, ClosedError, Receipts
from agent.transport.amqp_frames import publish
from agent.transport.dialogue import Lending
from agent.transport.stream import Address

PORTS = {"amqp": 5672, "amqps": 5671}
GUEST = "guest"  # whom brokers know from the first, on loopback only
_NOT_FOUND = 404
#: Codes that a person has to mend: access refused, not found, not allowed (no such vhost, its limit of connections).
_MENDED = frozenset({402, 403, _NOT_FOUND, 530})
_CONTENT_TOO_LARGE = 311
_TOO_LARGE = re.compile(r"406: PRECONDITION_FAILED - message size \d+ is larger than \D*(\d+)")
_REJECTED = "it did not take the message: a queue is full, or the broker in trouble"
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class AmqpOptions(TlsOptions):
    """The options of `amqp://` and `amqps://`."""

    user: str | None = option(optional(TEXT), None, help="name to log in with; unset: guest")
    password: Secret | None = option(optional(SECRET), None, help="password to it; unset: guest")
    routing_key: Tag = option(
        TAG,
        Tag.parse("dockferry"),
        help="by which the exchange chooses queues; where the path names no exchange, the queue's name",
        example="logs.{{.Name}}",
    )
    batch: str = option(
        choice("record", "ndjson"),
        "record",
        help="what a message holds: one record, or a request's, a line each",
    )
    mandatory: bool = option(
        BOOLEAN, True, help="have a message back that no queue wants; else the broker drops it unseen"
    )


class AmqpSink(Sink[AmqpOptions]):
    """RabbitMQ."""

    limits = Limits(request_bytes=4 * MiB)  # with what JSON adds, below the 16 MiB of RabbitMQ 4's messages

    def __init__(self, target: Target, options: AmqpOptions) -> None:
        super().__init__(target, options)
        vhost, slash, exchange = target.path.removeprefix("/").rpartition("/")
        if not target.host or not slash:
            wanted = f"{target.scheme}://host/vhost/exchange; the vhost / is written %2F"
            raise SettingsError([f"sink {target.name}: host, vhost and exchange are needed, as in {wanted}"])
        for name in (vhost, exchange):
            if len(name.encode()) > _LONGEST_NAME:
                raise SettingsError(
                    [f"sink {target.name}: vhost and exchange have at most {_LONGEST_NAME} bytes each"]
                )
        if options.user is not None and options.password is None:
            raise SettingsError([f"sink {target.name}: a user needs a password"])
        self._vhost = vhost or "/"
        self._exchange = exchange
        self._address = Address(target.host, target.port or PORTS[target.scheme])
        self._context: ssl.SSLContext | None = None
        self._talks = Lending(lambda: AmqpTalk(self._address), self._begin)

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        if self.target.scheme == "amqps":
            self._context = self.options.context()

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        return await self._attempt(self._deliver(batches))

    async def probe(self) -> Outcome:
        return await self._attempt(self._probe())

    async def close(self) -> None:
        for talk in self._talks.end():
            await talk.ended()

    async def _attempt(self, attempt: Awaitable[Outcome]) -> Outcome:
        try:
            return await attempt
        except TransportError as error:
            return _judge_error(error)

    async def _begin(self, talk: AmqpTalk) -> None:
        user, password = self.options.user or GUEST, self.options.password
        await talk.begin(
            self._context, user, password.reveal() if password is not None else GUEST, self._vhost
        )

    async def _deliver(self, batches: Sequence[Batch]) -> Outcome:
        messages_of = many_records_each if self.options.batch == "ndjson" else a_record_each
        async with self._talks.one() as talk:
            messages = messages_of(batches, self._publish, talk.frame_bytes)
            receipts = await talk.publish(messages.data, len(messages.records))
        return self._judge(messages, receipts)

    async def _probe(self) -> Outcome:
        async with self._talks.one() as talk:
            try:
                if self._exchange:
                    await talk.find_exchange(self._exchange)
                elif not self.options.routing_key.varies:
                    await talk.find_queue(str(self.options.routing_key))
            except ClosedError as error:
                if error.code == _NOT_FOUND:
                    raise
                # That one may not ask is no fault: whether one may publish, only records tell.
        return Delivered()

    def _publish(self, container: Container) -> bytes:
        """What stands before each message of this container."""
        options = self.options
        name = ("amqp publish", self._exchange, str(options.routing_key), options.mandatory)
        frame = container.constants.get(name)
        if frame is None:
            key = options.routing_key.render(container)
            frame = publish(self._exchange, key, mandatory=options.mandatory)
            container.constants[name] = frame
        return frame

    def _judge(self, messages: Messages, receipts: Receipts) -> Outcome:
        numbers: dict[int, Verdict] = dict.fromkeys(receipts.rejected, Retry(_REJECTED))
        if receipts.broken is not None:
            numbers |= _judge_unknown(messages, receipts.unknown, receipts.broken)
        if receipts.returned:
            numbers |= self._judge_returned(messages, receipts.returned)
        first_rows = [0, *itertools.accumulate(messages.records)]
        return outcome(
            first_rows[-1],
            {
                row: verdict
                for number, verdict in sorted(numbers.items())
                for row in range(first_rows[number], first_rows[number + 1])
            },
        )

    def _judge_returned(self, messages: Messages, returned: Mapping[bytes, str]) -> dict[int, Verdict]:
        """With a key of its own for each container, one that leads nowhere must not hold up the others."""
        key = self.options.routing_key
        verdict = Refused if key.varies else Misconfigured
        where = f"exchange {self._exchange!r}, routing key {str(key)!r}"
        return {
            number: verdict(f"no queue takes it: {returned[name]} ({where})")
            for number, name in enumerate(messages.ids)
            if name in returned
        }


def _judge_unknown(messages: Messages, unknown: Iterable[int], error: TransportError) -> dict[int, Verdict]:
    """A message that is too large costs the channel, and with it what was not confirmed yet."""
    verdict, most = _judge_error(error), _most_bytes(error)
    if most is None:
        return dict.fromkeys(unknown, verdict)
    again, alone = Retry(verdict.why), Refused(verdict.why)
    return {
        number: again
        if messages.sizes[number] <= most
        else alone
        if messages.records[number] == 1
        else verdict
        for number in unknown
    }


def _judge_error(error: TransportError) -> Verdict:
    if isinstance(error, UntrustedError):
        return Misconfigured(str(error))
    if isinstance(error, ClosedError):
        if error.code in _MENDED:
            return Misconfigured(str(error))
        if error.code == _CONTENT_TOO_LARGE or _most_bytes(error) is not None:
            return TooLarge(str(error))
    return Retry(str(error))


def _most_bytes(error: TransportError) -> int | None:
    """The largest message that the broker takes, if that is what it complains of."""
    found = _TOO_LARGE.search(str(error))
    return int(found[1]) if found else None
