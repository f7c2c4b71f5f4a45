"""tcp, tls: the records as JSON lines over one connection, for Logstash, Fluent Bit, Vector and their like.

No such receiver answers. Delivered means that its kernel has acknowledged every byte; what the program there
does with a line, or loses when it dies with lines unread, is not for us to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.ndjson import ndjson
from agent.sinks.base import TlsOptions
from agent.sinks.over_socket import Refusals, StreamSink


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions(TlsOptions):
    """The options of `tcp://` and `tls://`."""


class TcpSink(StreamSink[TcpOptions]):
    """JSON lines over TCP or TLS: Logstash, Fluent Bit, Vector and their like."""

    def encode(self, batches: Sequence[Batch]) -> tuple[bytes, Refusals]:
        return b"".join(map(ndjson, batches)), {}
