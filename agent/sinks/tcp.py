"""tcp, tls: the records as JSON lines over one connection, for Logstash, Fluent Bit, Vector and their like.

No such receiver answers. Delivered means that its kernel has acknowledged every byte; what the program there
does with a line, or loses when it dies with lines unread, is not for us to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.ndjson import ndjson
from agent.errors import SettingsError
from agent.sinks.base import Delivered, Misconfigured, Outcome, Retry, Sink, Target, TlsOptions
from agent.transport import TransportError, UntrustedError
from agent.transport.stream import Address, LineStream
from agent.transport.tls import client_context


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions(TlsOptions):
    """The options of `tcp://` and `tls://`."""


class TcpSink(Sink[TcpOptions]):
    """JSON lines over TCP or TLS: Logstash, Fluent Bit, Vector and their like."""

    def __init__(self, target: Target, options: TcpOptions) -> None:
        super().__init__(target, options)
        if not target.host or target.port is None:
            raise SettingsError(
                [f"sink {target.name}: host and port are needed, as in {target.scheme}://host:5170"]
            )
        if target.path.strip("/"):
            raise SettingsError([f"sink {target.name}: {target.scheme} takes no path after the port"])
        self._address = Address(target.host, target.port)
        self._lines = LineStream(self._address)

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        if self.target.scheme == "tls":
            tls = self.options
            context = client_context(tls.ca, tls.cert, tls.key, verify=tls.verify)
            self._lines = LineStream(self._address, context)

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        return await self._attempt(self._lines.send(b"".join(map(ndjson, batches))))

    async def probe(self) -> Outcome:
        return await self._attempt(self._lines.connect())

    async def close(self) -> None:
        self._lines.close()

    async def _attempt(self, attempt: Awaitable[None]) -> Outcome:
        try:
            async with asyncio.timeout(self.options.timeout):
                await attempt
        except TimeoutError:
            return Retry(f"{self._address} did not take everything within {self.options.timeout:g} s")
        except UntrustedError as error:
            return Misconfigured(str(error))
        except TransportError as error:
            return Retry(str(error))
        return Delivered()
