"""What sinks share whose receiver never answers: over TCP, TLS and UDP, and datagrams to a Unix socket.

Delivered means that the other kernel has every byte (`agent.transport.stream`), with datagrams that ours has taken
them (`agent.transport.datagram`). Such a sink is `encode`, which also says what its protocol cannot carry.
"""

from __future__ import annotations

import abc
import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeAlias, TypeVar

from agent.batch import Batch
from agent.errors import SettingsError
from agent.options import KiB, integer, option
from agent.sinks.base import (
    Delivered,
    Misconfigured,
    Options,
    Outcome,
    Partial,
    Retry,
    Sink,
    SinkOptions,
    Target,
    TlsOptions,
)
from agent.transport import TransportError, UntrustedError
from agent.transport.datagram import Datagrams
from agent.transport.pour import OversizeError
from agent.transport.stream import Address, LineStream

_CONNECTED = "takes a connection; it never answers"
#: Row to reason: what is not sent, as the protocol cannot carry it.
Refusals: TypeAlias = Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpOptions(SinkOptions):
    """The options of every sink over UDP."""

    rate: int = option(
        integer(1, 10_000_000),
        10_000,
        help="most datagrams in a second, a large one counted by its KiB: what the receiver does not read in time "
        "is lost, and nobody can tell",
    )


StreamOptions = TypeVar("StreamOptions", bound=TlsOptions)
DatagramOptions = TypeVar("DatagramOptions", bound=UdpOptions)


class StreamSink(Sink[StreamOptions], Generic[StreamOptions]):
    """A receiver of one stream of bytes over TCP, or over TLS where the scheme ends in `tls`.

    usual_ports  where such receivers listen, without and with TLS; None: the URL has to say it
    """

    usual_ports: ClassVar[tuple[int | None, int | None]] = None, None
    proven = _CONNECTED

    def __init__(self, target: Target, options: StreamOptions) -> None:
        super().__init__(target, options)
        self._secure = "tls" in {target.scheme, target.transport}
        self._address = address_of(target, self.usual_ports[self._secure])
        self._stream = LineStream(self._address)

    @abc.abstractmethod
    def encode(self, batches: Sequence[Batch]) -> tuple[bytes, Refusals]:
        """The bytes of these records, and which of them have none."""

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        if self._secure:
            self._stream = LineStream(self._address, self.options.context())

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        data, refused = self.encode(batches)
        return await _attempt(self._stream.send(data), self._address, self.options.timeout, refused)

    async def probe(self) -> Outcome:
        return await _attempt(self._stream.connect(), self._address, self.options.timeout)

    async def close(self) -> None:
        self._stream.close()


class UdpSink(Sink[DatagramOptions], Generic[DatagramOptions]):
    """A receiver of datagrams over UDP, none of which it acknowledges.

    usual_port  where such listen; None: the URL has to say it
    """

    usual_port: ClassVar[int | None]
    proven = "has an address; whether somebody listens there, UDP does not tell"

    def __init__(self, target: Target, options: DatagramOptions) -> None:
        # A request has to be sent within the time-out, at the rate asked for: half of that leaves room.
        most = max(1, int(options.rate * options.timeout / 4))
        super().__init__(
            target,
            replace(
                options,
                batch_records=min(options.batch_records, most),
                batch_bytes=min(options.batch_bytes, most * KiB),
            ),
        )
        self._address = address_of(target, self.usual_port)
        self._socket = Datagrams(self._address, options.rate)

    @abc.abstractmethod
    async def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        """The datagrams of these records, and which of them have none."""

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        datagrams, refused = await self.encode(batches)
        sending = self._socket.send(deque(datagrams))
        return await _attempt(sending, self._address, self.options.timeout, refused)

    async def probe(self) -> Outcome:
        return await _attempt(self._socket.connect(), self._address, self.options.timeout)

    async def close(self) -> None:
        self._socket.close()


class UnixSink(Sink[Options], Generic[Options]):
    """A receiver of one datagram for each record, on a Unix socket; what it has taken is not sent again."""

    proven = _CONNECTED

    def __init__(self, target: Target, options: Options, path: str) -> None:
        super().__init__(target, options)
        self.path = path
        self._address = Address(path=path)
        self._socket = Datagrams(self._address)

    @abc.abstractmethod
    def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        """The datagram of each record, and which of them have none."""

    async def send_oversize(self, datagram: bytes) -> str | None:  # noqa: ARG002
        """Send what the kernel finds too large another way, else say why not. Raises TransportError."""
        return "it is larger than a datagram may be here (net.core.wmem_max)"

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        datagrams, none = self.encode(batches)
        refused = dict(none)
        rows = [row for row in range(sum(map(len, batches))) if row not in refused]
        waiting = deque(datagrams)
        # A little less than the runner grants, for it could not learn then what was taken.
        limit = 0.9 * self.options.timeout
        outcome = await _attempt(self._pour(waiting, rows, refused), self._address, limit)
        if isinstance(outcome, Retry) and len(waiting) < len(rows):
            return Partial(retry=rows[len(rows) - len(waiting) :], refused=refused, why=outcome.why)
        return _with(refused, outcome)

    async def probe(self) -> Outcome:
        return await _attempt(self._socket.connect(), self._address, self.options.timeout)

    async def close(self) -> None:
        self._socket.close()

    async def _pour(self, waiting: deque[bytes], rows: Sequence[int], refused: dict[int, str]) -> None:
        while waiting:
            try:
                await self._socket.send(waiting)
            except OversizeError:
                why = await self.send_oversize(waiting[0])
                if why is not None:
                    refused[rows[len(rows) - len(waiting)]] = why
                waiting.popleft()


def address_of(target: Target, usual_port: int | None) -> Address:
    """Host and port of a URL that has nothing behind them. Raises SettingsError."""
    scheme = "+".join(filter(None, [target.scheme, target.transport]))
    port = target.port or usual_port
    if not target.host or port is None:
        missing = "host and port are needed" if usual_port is None else "the host is missing"
        raise SettingsError([f"sink {target.name}: {missing}, as in {scheme}://host:{usual_port or 5170}"])
    if target.path.strip("/"):
        raise SettingsError([f"sink {target.name}: {scheme} takes no path after the port"])
    return Address(target.host, port)


def fitting(column: Sequence[bytes], most: int) -> tuple[Sequence[bytes], Refusals]:
    """The messages of up to `most` bytes, an option `max_bytes`, and why the others are not among them."""
    if max(map(len, column), default=0) <= most:
        return column, {}
    refused = {
        row: f"a message of {len(message)} bytes, and max_bytes={most}"
        for row, message in enumerate(column)
        if len(message) > most
    }
    return [message for message in column if len(message) <= most], refused


async def _attempt(
    sending: Awaitable[None], address: Address, seconds: float, refused: Refusals | None = None
) -> Outcome:
    try:
        async with asyncio.timeout(seconds):
            await sending
    except TimeoutError:
        return Retry(f"{address} did not take everything within {seconds:g} s")
    except UntrustedError as error:
        return Misconfigured(str(error))
    except TransportError as error:
        return Retry(str(error))
    return _with(refused or {}, Delivered())


def _with(refused: Refusals, outcome: Outcome) -> Outcome:
    return Partial(refused=refused) if refused and isinstance(outcome, Delivered) else outcome
