"""Strict receivers of syslog: by the grammar of RFC 5424, 6, and the framings of RFC 6587."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.parsed import level_of
from tests.receivers.received import Faulty, Received
from tests.receivers.tcp import TcpReceiver

_MESSAGE = re.compile(
    rb"<(0|[1-9][0-9]{0,2})>1 "
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z) "
    rb"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    rb'(-|\[(?:"(?:[^"\\\]]|\\.)*"|[^"\]])*\])'
    rb"(?: (.*))?",
    re.DOTALL,
)
_SD_ID = re.compile(r"[!#-<>-\\^-~]{1,32}@[0-9]+")
_PARAMETER = re.compile(r' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')
_COUNT = re.compile(rb"([1-9][0-9]*) ")
OF_THE_RECORD = {
    *("stream", "container_id", "container_name", "image_name", "image_id", "project", "service"),
    *("record_id", "truncated"),
}


def read_message(message: bytes, *, facility: int = 3) -> Received:
    """A message of RFC 5424 with our structured data. Raises Faulty."""
    match = _MESSAGE.fullmatch(message)
    if match is None:
        raise Faulty(f"no message of RFC 5424: {message[:300]!r}")
    priority, stamp, host, app, procid, msgid, data, text = match.groups()
    if not procid.isdigit() or app != msgid:
        raise Faulty(f"not as Docker's driver: {message[:300]!r}")
    values = read_structured_data(data.decode())
    stream = values["stream"]
    if int(priority) // 8 != facility:
        raise Faulty(f"priority {priority!r}: {values}")
    return Received(
        message=(text or b"").decode(),
        timestamp_ns=_nanoseconds(stamp.decode()),
        stream=stream,
        container=values["container_name"],
        container_id=values["container_id"],
        image=values["image_name"],
        host=host.decode(),
        tag=app.decode(),
        project=values.get("project"),
        service=values.get("service"),
        labels={name: value for name, value in values.items() if name not in OF_THE_RECORD},
        truncated=values.get("truncated") == "true",
        level=level_of(int(priority) % 8, stream),
        id=values["record_id"],
    )


def read_structured_data(text: str) -> dict[str, str]:
    """The one element of a message, without its name. Raises Faulty."""
    name, _, rest = text[1:-1].partition(" ")
    found = _PARAMETER.findall(f" {rest}")
    if not _SD_ID.fullmatch(name) or "".join(f' {key}="{value}"' for key, value in found) != f" {rest}":
        raise Faulty(f"no structured data: {text}")
    if len({key for key, _ in found}) != len(found):
        raise Faulty(f"a name is there twice: {text}")
    return {key: re.sub(r"\\(.)", r"\1", value) for key, value in found}


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text[:-1].partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


class SyslogTcp(TcpReceiver):
    """Over TCP or TLS, with counted octets, or with `newlines`. `most_bytes`: the longest message it takes."""

    def __init__(self, *, newlines: bool = False, most_bytes: int = 8192) -> None:
        super().__init__()
        self.newlines = newlines
        self.most_bytes = most_bytes

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        if self.newlines:
            return super().split(data)
        frames, at = [], 0
        while match := _COUNT.match(data, at):
            end = match.end() + int(match[1])
            if end > len(data):
                break
            frames.append(data[match.end() : end])
            at = end
        rest = data[at:]
        if len(rest) > 10 and not _COUNT.match(rest):
            raise Faulty(f"no count of octets: {rest[:100]!r}")
        return frames, rest

    def read(self, frame: bytes) -> Received:
        if len(frame) > self.most_bytes:
            raise Faulty(f"a message of {len(frame)} bytes")
        return read_message(frame)


class SyslogDatagrams(DatagramReceiver):
    """Over UDP, or on a Unix socket."""

    def __init__(self, path: Path | None = None, *, most_bytes: int = 8192) -> None:
        super().__init__(path)
        self.most_bytes = most_bytes

    def read(self, datagram: bytes) -> Iterable[Received]:
        if len(datagram) > self.most_bytes:
            raise Faulty(f"a message of {len(datagram)} bytes")
        return [read_message(datagram)]
