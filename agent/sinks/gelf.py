"""gelf+udp, gelf+tcp, gelf+tls, gelf+http, gelf+https: Graylog, and what else takes GELF.

Sources: Graylog's docs, "GELF Payload Specification"; HttpTransport.java of Graylog's server. UDP and TCP have no
answer: see `agent.sinks.over_socket` for what delivered means. The HTTP input says 202 before it looks at a message.
It takes one message in a request: of several it keeps the first, in silence, unless "Enable Bulk Receiving" is on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.batch import Batch
from agent.encode.compress import IN_THREAD_BYTES
from agent.encode.gelf import CHUNKS, datagrams, messages
from agent.errors import SettingsError
from agent.options import BOOLEAN, SIZE, MiB, choice, integer, option
from agent.sinks.base import (
    Delivered,
    Misconfigured,
    Outcome,
    Partial,
    Refused,
    Retry,
    Target,
    TlsOptions,
    TooLarge,
)
from agent.sinks.over_http import HttpOptions, HttpSink
from agent.sinks.over_socket import Refusals, StreamSink, UdpOptions, UdpSink, fitting
from agent.transport.http import Reply, Request

PATH = "/gelf"
USUAL_PORT = 12201
#: Without `bulk`, as many requests one after the other take a second or less on most networks.
MOST_SINGLE = 200
#: Fewer could not carry the chunks of a message within the five seconds that Graylog waits for them.
LEAST_RATE = 100
_CHUNK_BYTES = integer(512, 65_507)


@dataclass(frozen=True, slots=True, kw_only=True)
class GelfUdpOptions(UdpOptions):
    """The options of `gelf+udp://`."""

    compress: str = option(
        choice("gzip", "zlib", "none"), "gzip", help="compression of a message that does not fit one datagram"
    )
    chunk_bytes: int = option(
        _CHUNK_BYTES, 1420, help="longest datagram; a network of one's own may take 8192"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GelfStreamOptions(TlsOptions):
    """The options of `gelf+tcp://` and `gelf+tls://`."""

    max_bytes: int = option(SIZE, 2 * MiB, help="longest message the receiver takes")


@dataclass(frozen=True, slots=True, kw_only=True)
class GelfHttpOptions(HttpOptions):
    """The options of `gelf+http://` and `gelf+https://`."""

    bulk: bool = option(
        BOOLEAN,
        False,
        help="all of a batch in one request: only where Graylog's input has bulk receiving enabled",
    )
    compress: str = option(choice("none", "gzip"), "none", help="compression of the body")


class GelfUdp(UdpSink[GelfUdpOptions]):
    """GELF over UDP, in chunks where need be."""

    usual_port = USUAL_PORT

    def __init__(self, target: Target, options: GelfUdpOptions) -> None:
        super().__init__(target, options)
        if options.rate < LEAST_RATE:
            raise SettingsError(
                [f"sink {target.name}: option 'rate': chunks of a message need {LEAST_RATE} at the least"]
            )

    async def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        column = _messages(batches)
        most = self.options.chunk_bytes
        if max(map(len, column)) <= most:
            return column, {}
        if sum(len(message) for message in column if len(message) > most) > IN_THREAD_BYTES:
            return await asyncio.to_thread(self._packed, column)
        return self._packed(column)

    def _packed(self, column: Sequence[bytes]) -> tuple[Sequence[bytes], Refusals]:
        packed: list[bytes] = []
        refused: dict[int, str] = {}
        for row, message in enumerate(column):
            pieces = datagrams(message, self.options.chunk_bytes, self.options.compress)
            if pieces is None:
                most = self.options.chunk_bytes
                refused[row] = f"a message of {len(message)} bytes takes more than {CHUNKS} chunks of {most}"
            else:
                packed += pieces
        return packed, refused


class GelfStream(StreamSink[GelfStreamOptions]):
    """GELF over TCP or TLS: each message ended by a null byte."""

    usual_ports = USUAL_PORT, USUAL_PORT

    def encode(self, batches: Sequence[Batch]) -> tuple[bytes, Refusals]:
        column, refused = fitting(_messages(batches), self.options.max_bytes)
        return b"".join([message + b"\0" for message in column]), refused


class GelfHttp(HttpSink[GelfHttpOptions]):
    """GELF over HTTP: a request for each record, or for a batch with `bulk`."""

    def __init__(self, target: Target, options: GelfHttpOptions) -> None:
        if not options.bulk:
            options = replace(options, batch_records=min(options.batch_records, MOST_SINGLE))
        super().__init__(target, options)

    def encode(self, batches: Sequence[Batch]) -> Request:
        return self._post(b"\n".join(_messages(batches)))

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        if self.options.bulk:
            return await super().deliver(batches)
        column = _messages(batches)
        refused: dict[int, str] = {}
        for row, message in enumerate(column):
            outcome = await self._ask(self._post(message), self.judge)
            match outcome:
                case Refused(why=why) | TooLarge(why=why):
                    refused[row] = why
                case Retry() | Misconfigured() if row == 0:
                    return outcome
                case Retry(why=why, after=after):
                    return Partial(range(row, len(column)), refused, why, after)
                case Misconfigured(why=why):
                    return Partial(range(row, len(column)), refused, why)
                case Delivered() | Partial():
                    pass
        return Partial(refused=refused) if refused else Delivered()

    def question(self) -> Request:
        """Not OPTIONS, which Graylog answers to whomever."""
        return Request("GET", self._path)

    def judge_answer(self, reply: Reply) -> Outcome:
        """Who knows us takes no GET, and says so."""
        return Delivered() if reply.status in {404, 405} else self.judge(reply)

    def _post(self, body: bytes) -> Request:
        headers = {"Content-Type": "application/json"}
        if self.options.compress != "none":
            headers["Content-Encoding"] = self.options.compress
        return Request("POST", self._path, headers, body, self.options.compress)

    @property
    def _path(self) -> str:
        return self.target.path if self.target.path.strip("/") else PATH


def _messages(batches: Sequence[Batch]) -> list[bytes]:
    return [message for batch in batches for message in messages(batch)]
