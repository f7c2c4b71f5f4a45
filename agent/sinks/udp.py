"""udp: each record as a JSON line in a datagram of its own, for Logstash, Vector and their like.

Nothing is acknowledged: see `agent.sinks.over_socket` for what delivered means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.ndjson import lines
from agent.encode.plain import plain_lines
from agent.errors import SettingsError
from agent.options import SIZE, option
from agent.sinks.base import Target
from agent.sinks.over_socket import Refusals, UdpOptions, UdpSink, fitting
from agent.sinks.tcp import LINES, LINES_HELP

MOST_BYTES = 65_507  # of a datagram over IPv4


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpLinesOptions(UdpOptions):
    """The options of `udp://`."""

    format: str = option(LINES, "json", help=LINES_HELP)
    max_bytes: int = option(
        SIZE, MOST_BYTES, help="longest datagram; a record that needs a longer one is refused"
    )


class UdpLines(UdpSink[UdpLinesOptions]):
    """JSON lines over UDP, a datagram each: Logstash, Vector and their like."""

    usual_port = None

    def __init__(self, target: Target, options: UdpLinesOptions) -> None:
        super().__init__(target, options)
        if not 0 < options.max_bytes <= MOST_BYTES:
            raise SettingsError(
                [f"sink {target.name}: option 'max_bytes': a datagram holds 1 to {MOST_BYTES} bytes"]
            )

    async def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        if self.options.format == "message":
            column = [line for batch in batches for line in plain_lines(batch)]
        else:
            column = [line + b"\n" for batch in batches for line in lines(batch)]
        return fitting(column, self.options.max_bytes)
