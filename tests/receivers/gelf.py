"""Strict receivers of GELF 1.1, over UDP, TCP and HTTP, with the rules of Graylog's documents and of its server.

Source: Graylog's docs, "GELF Payload Specification"; HttpTransport.java, GelfCodec.java of Graylog's server.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tests.receivers.datagrams import DatagramReceiver
from tests.receivers.parsed import level_of
from tests.receivers.received import Faulty, Received, in_order
from tests.receivers.tcp import TcpReceiver
from tests.receivers.web import Answer, Request, WebReceiver

_NAME = re.compile(r"_[\w.\-]+", re.ASCII)
STANDARD = ["version", "host", "level", "timestamp", "short_message"]
OF_THE_RECORD = {
    *(
        "_container_id",
        "_container_name",
        "_image_id",
        "_image_name",
        "_tag",
        "_stream",
        "_project",
        "_service",
    ),
    *("_record_id", "_truncated"),
}
CHUNKS = 128


def read_message(data: bytes) -> Received:
    """One message. Raises Faulty."""
    fields: dict[str, Any] = json.loads(data.decode(), object_pairs_hook=in_order, parse_float=Decimal)
    more = {name: value for name, value in fields.items() if name.startswith("_")}
    if sorted(fields.keys() - more.keys()) != sorted(STANDARD) or fields["version"] != "1.1":
        raise Faulty(f"not the fields of GELF 1.1: {fields}")
    if not all(_NAME.fullmatch(name) and name != "_id" for name in more):
        raise Faulty(f"names: {list(more)}")
    if not all(
        isinstance(value, str | int | Decimal) and not isinstance(value, bool) for value in more.values()
    ):
        raise Faulty(f"Graylog drops some of these values: {more}")
    if "" in more.values():
        raise Faulty(f"values: {more}")
    if (
        not isinstance(fields["timestamp"], Decimal)
        or not fields["short_message"].strip()
        or not fields["host"]
    ):
        raise Faulty(f"Graylog drops this: {fields}")
    if more.keys() & {"_level", "_message", "_source", "_timestamp", "_host"}:
        raise Faulty(f"Graylog has these itself: {more}")
    return Received(
        message=fields["short_message"],
        timestamp_ns=int(fields["timestamp"] * 1_000_000_000),
        stream=more["_stream"],
        container=more["_container_name"],
        container_id=more["_container_id"],
        image=more["_image_name"],
        host=fields["host"],
        tag=more["_tag"],
        project=more.get("_project"),
        service=more.get("_service"),
        labels={name[1:]: value for name, value in more.items() if name not in OF_THE_RECORD},
        truncated=more.get("_truncated") == "true",
        level=level_of(fields["level"], more["_stream"]),
        id=more["_record_id"],
    )


def unpacked(data: bytes) -> bytes:
    """A datagram's or joined chunks' message: gzip, zlib or bare, told by the first bytes."""
    if data[:2] == b"\x1f\x8b":
        return zlib.decompress(data, wbits=31)
    return zlib.decompress(data) if data[:1] == b"\x78" else data


class GelfUdp(DatagramReceiver):
    """Over UDP. most_bytes: of a datagram; chunked: how many messages came in chunks."""

    def __init__(self, *, most_bytes: int = 1420) -> None:
        super().__init__()
        self.most_bytes = most_bytes
        self.chunked = 0
        self._pieces: dict[bytes, dict[int, bytes]] = {}
        self._done: set[bytes] = set()

    def read(self, datagram: bytes) -> Iterable[Received]:
        if len(datagram) > self.most_bytes:
            raise Faulty(f"a datagram of {len(datagram)} bytes")
        if datagram[:2] != b"\x1e\x0f":
            return [read_message(unpacked(datagram))]
        identity, number, count = datagram[2:10], datagram[10], datagram[11]
        pieces = self._pieces.setdefault(identity, {})
        if not 1 < count <= CHUNKS or number >= count or number in pieces or identity in self._done:
            raise Faulty(f"chunk {number} of {count}")
        pieces[number] = datagram[12:]
        if len(pieces) < count:
            return []
        self.chunked += 1
        self._done.add(identity)
        del self._pieces[identity]
        whole = b"".join(pieces[place] for place in range(count))
        return [read_message(unpacked(whole))]


class GelfTcp(TcpReceiver):
    """Over TCP or TLS: a null byte ends a message."""

    def __init__(self, *, most_bytes: int = 1 << 21) -> None:
        super().__init__()
        self.most_bytes = most_bytes

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        *frames, rest = data.split(b"\0")
        return frames, rest

    def read(self, frame: bytes) -> Received:
        if len(frame) > self.most_bytes:
            raise Faulty(f"a message of {len(frame)} bytes")
        return read_message(frame)


class GelfHttp(WebReceiver):
    """Over HTTP at /gelf. bulk: whether "Enable Bulk Receiving" is on; else it keeps the first message only."""

    good = 202
    bulk = True

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if request.method != "POST":
            return [], Answer(405)
        if request.path != "/gelf":
            return [], Answer(404)
        packed = request.headers.get("Content-Encoding") == "gzip"
        body = zlib.decompress(request.body, wbits=31) if packed else request.body
        records = [read_message(line) for line in body.split(b"\n")]
        return (records if self.bulk else records[:1]), Answer(self.good)
