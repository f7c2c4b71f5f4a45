"""tcp, tls: the records as JSON lines over one connection, for Logstash, Fluent Bit, Vector and their like.

No such receiver answers. Delivered means that its kernel has acknowledged every byte; what the program there
does with a line, or loses when it dies with lines unread, is not for us to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.batch import Batch
from agent.encode.ndjson import ndjson
from agent.encode.plain import plain
from agent.options import Kind, choice, option
from agent.sinks.base import Target, TlsOptions
from agent.sinks.over_socket import Refusals, StreamSink

LINES: Final[Kind[str]] = choice("json", "message")
LINES_HELP: Final = "what a line is: the record, or its message alone, as it was written"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions(TlsOptions):
    """The options of `tcp://` and `tls://`."""

    format: str = option(LINES, "json", help=LINES_HELP)


class TcpSink(StreamSink[TcpOptions]):
    """JSON lines over TCP or TLS: Logstash, Fluent Bit, Vector and their like."""

    def __init__(self, target: Target, options: TcpOptions) -> None:
        super().__init__(target, options)
        self._lines = plain if options.format == "message" else ndjson

    def encode(self, batches: Sequence[Batch]) -> tuple[bytes, Refusals]:
        return b"".join(map(self._lines, batches)), {}
