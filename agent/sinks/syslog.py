"""syslog+udp, syslog+tcp, syslog+tls, syslog+unix: rsyslog, syslog-ng, and whatever else takes syslog.

Sources: RFC 5424, RFC 3164, RFC 5426 (UDP), RFC 6587 (TCP), RFC 5425 (TLS). None of them has an answer: see
`agent.sinks.over_socket` for what delivered means. No receiver takes messages of any length, and most cut a longer
one in silence: so one is refused here, with its length, unless the sink is told to cut it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.batch import Batch
from agent.encode.syslog import (
    DAEMON,
    FACILITIES,
    STRUCTURED_DATA,
    Style,
    counted,
    lines,
    messages,
    shortened,
)
from agent.errors import SettingsError
from agent.options import SIZE, KiB, Kind, choice, option
from agent.sinks.base import SinkOptions, Target, TlsOptions
from agent.sinks.over_socket import Refusals, StreamSink, UdpOptions, UdpSink, UnixSink, fitting

LEAST_BYTES = 480  # every receiver takes as much (RFC 5424, 6.1)
UDP_BYTES = 65_507  # of a datagram over IPv4
_SD_ID = re.compile(r"[!#-<>?A-\\^-~]+@[0-9]+(?:\.[0-9]+)*")


def _facility(text: str) -> int:
    word = text.strip().lower()
    if word in FACILITIES:
        return FACILITIES.index(word)
    if word.isascii() and word.isdigit() and int(word) < len(FACILITIES):
        return int(word)
    raise ValueError("a facility such as daemon, user or local0, or its number")


def _sd_id(text: str) -> str:
    if text != "-" and not (len(text) <= 32 and _SD_ID.fullmatch(text)):
        raise ValueError("a name such as docker@32473, or -")
    return text


_RFC = choice("5424", "3164")
_RFC_HELP = "the form of a message: of RFC 5424, or the older one of RFC 3164"
_FACILITY = Kind("facility", _facility, FACILITIES.__getitem__)


@dataclass(frozen=True, kw_only=True)  # without slots, so that it can be mixed in
class MessageOptions(SinkOptions):
    """How a message looks, whatever carries it."""

    rfc: str = option(_RFC, "5424", help=_RFC_HELP)
    facility: int = option(_FACILITY, DAEMON, help="what kind of sender we are, by name or number")
    sd_id: str = option(
        Kind("text", _sd_id),
        STRUCTURED_DATA,
        help="name of the structured data that tells of the container; -: none. Only rfc=5424 has any",
    )
    max_bytes: int = option(
        SIZE, 8 * KiB, help="longest message the receiver takes, with header and structured data"
    )
    too_long: str = option(
        choice("refuse", "cut"),
        "refuse",
        help="what to do with a longer one: a dead letter, or cut it, with ... behind",
    )

    @property
    def sd(self) -> str | None:
        """The name of the structured data, if there is to be any."""
        return None if self.sd_id == "-" else self.sd_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogUdpOptions(MessageOptions, UdpOptions):
    """The options of `syslog+udp://`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogStreamOptions(MessageOptions, TlsOptions):
    """The options of `syslog+tcp://` and `syslog+tls://`."""

    framing: str = option(
        choice("auto", "octets", "newline"),
        "auto",
        help="where a message ends: its length before it, or a newline behind it; auto: newline with rfc=3164",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogUnixOptions(MessageOptions):
    """The options of `syslog+unix://`."""

    rfc: str = option(_RFC, "3164", help=_RFC_HELP)


class SyslogUdp(UdpSink[SyslogUdpOptions]):
    """Syslog over UDP."""

    usual_port = 514

    def __init__(self, target: Target, options: SyslogUdpOptions) -> None:
        super().__init__(target, options)
        _check(target, options, UDP_BYTES)
        self._style = Style(options.rfc, options.facility, options.sd, most=options.max_bytes)

    async def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        return _messages(batches, self._style, self.options)


class SyslogStream(StreamSink[SyslogStreamOptions]):
    """Syslog over TCP or TLS: rsyslog, syslog-ng and their like."""

    usual_ports = 514, 6514

    def __init__(self, target: Target, options: SyslogStreamOptions) -> None:
        super().__init__(target, options)
        _check(target, options)
        self._style = Style(options.rfc, options.facility, options.sd, most=options.max_bytes)
        by_line = options.framing == "newline" or (options.framing == "auto" and options.rfc == "3164")
        self._frame = lines if by_line else counted

    def encode(self, batches: Sequence[Batch]) -> tuple[bytes, Refusals]:
        column, refused = _messages(batches, self._style, self.options)
        return self._frame(column), refused


class SyslogUnix(UnixSink[SyslogUnixOptions]):
    """Syslog to the socket of this machine's own, `/dev/log` or another."""

    def __init__(self, target: Target, options: SyslogUnixOptions) -> None:
        if target.host:
            raise SettingsError([f"sink {target.name}: the path is missing, as in syslog+unix:///dev/log"])
        super().__init__(target, options, target.path or "/dev/log")
        _check(target, options)
        self._style = Style(
            options.rfc,
            options.facility,
            options.sd,
            host=options.rfc == "5424",
            most=options.max_bytes,
        )

    def encode(self, batches: Sequence[Batch]) -> tuple[Sequence[bytes], Refusals]:
        return _messages(batches, self._style, self.options)


def _check(target: Target, options: MessageOptions, most: int | None = None) -> None:
    if options.max_bytes < LEAST_BYTES:
        raise SettingsError(
            [f"sink {target.name}: option 'max_bytes': every receiver takes {LEAST_BYTES} bytes"]
        )
    if most is not None and options.max_bytes > most:
        raise SettingsError([f"sink {target.name}: option 'max_bytes': a datagram holds {most} at the most"])


def _messages(
    batches: Sequence[Batch], style: Style, options: MessageOptions
) -> tuple[Sequence[bytes], Refusals]:
    """The messages, and which rows have none because they are too long."""
    column = [message for batch in batches for message in messages(batch, style)]
    if options.too_long == "cut":
        column = [shortened(message, options.max_bytes) for message in column]
    return fitting(column, options.max_bytes)
