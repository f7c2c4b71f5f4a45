"""A strict receiver of the Forward protocol, as Fluentd or as Fluent Bit would be: with msgpack's own decoder.

Source: fluentd's "Forward Protocol Specification v1" and lib/fluent/plugin/in_forward.rb; Fluent Bit's
plugins/in_forward (which takes text alone in a PING, and no more than 6,144,000 bytes).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from tests.receivers.proxy import reset
from tests.receivers.received import Faulty, Received, in_order
from tests.receivers.tcp import READ_BYTES, TcpReceiver

MOST_BYTES = 6_144_000
_KNOWN = {"container_id", "container_name", "source", "log", "record_id", "truncated"}
_KNOWN |= {"level", "fields"}
_OURS = {"image", "host", "project", "service"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message, for a test to look at."""

    tag: str
    records: list[dict[str, str]]
    options: Mapping[str, Any]


class ForwardReceiver(TcpReceiver):
    """A server on loopback that keeps what it accepts in `inbox`, and acknowledges it.

    shared_key  what its <security> section demands; None: it has none
    users       whose password is which; empty: it asks for no user
    like        "fluentd", or "fluent-bit": refuses a wrong key without a word
    script      what becomes of the next messages: "take", "hang up" (not kept), "swallow" (not kept, no word),
                "ack later" (kept, acknowledged with the next one)
    messages    what came in
    """

    def __init__(
        self,
        *,
        shared_key: str | None = None,
        users: Mapping[str, str] | None = None,
        like: str = "fluentd",
    ) -> None:
        super().__init__()
        self.shared_key = shared_key
        self.users = dict(users or {})
        self.like = like
        self.script: deque[str] = deque()
        self.messages: list[Message] = []
        self.chunks: set[str] = set()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.converse(reader, writer)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from the first word to the last."""
        unpacker = msgpack.Unpacker(raw=False, object_pairs_hook=in_order, max_buffer_size=MOST_BYTES)
        take: Callable[[Any], bool] = self._message(writer)
        if self.shared_key is not None:
            take = self._handshake(writer, take)
        seen = 0
        while data := await reader.read(READ_BYTES):
            seen += len(data)
            if self.reset_after is not None and seen >= self.reset_after:
                self.reset_after = None
                reset(writer.transport)
                self.endings.append("reset")
                return
            try:
                unpacker.feed(data)
                more = all(take(message) for message in unpacker)
            except (Faulty, ValueError, LookupError, TypeError, msgpack.UnpackException) as error:
                self.inbox.fault(error)
                return
            if not more:
                return
            await writer.drain()
        self.endings.append("eof")

    def _handshake(self, writer: asyncio.StreamWriter, then: Callable[[Any], bool]) -> Callable[[Any], bool]:
        """Greet, and hold whoever answers to the password."""
        nonce, auth = os.urandom(16), os.urandom(16)
        # Fluentd sends these as binary, Fluent Bit as text that is none.
        packer = msgpack.Packer(use_bin_type=self.like == "fluentd")
        writer.write(packer.pack(["HELO", {"nonce": nonce, "auth": auth, "keepalive": True}]))
        accepted = False

        def take(message: Any) -> bool:  # noqa: ANN401 - whatever msgpack finds
            nonlocal accepted
            if accepted:
                return then(message)
            why, answer = self._checked(message, nonce, auth)
            accepted = why is None
            if accepted or self.like == "fluentd" or why == "username/password mismatch":
                writer.write(msgpack.packb(answer))
            return accepted

        return take

    def _checked(self, message: Any, nonce: bytes, auth: bytes) -> tuple[str | None, list[object]]:  # noqa: ANN401
        """Why the sender of a PING is not accepted, and the PONG."""
        assert self.shared_key is not None
        why = None
        if not (isinstance(message, list) and len(message) == 6 and message[0] == "PING"):
            return "invalid ping message", ["PONG", False, "invalid ping message", "", ""]
        if not all(isinstance(part, str) for part in message):
            raise Faulty(f"Fluent Bit takes text alone in a PING: {message}")
        _, hostname, salt, digest, user, proof = message
        if hostname == "receiver":
            raise Faulty("it calls itself as we do")
        key = self.shared_key.encode()
        if digest != hashlib.sha512(salt.encode() + hostname.encode() + nonce + key).hexdigest():
            why = "shared_key mismatch"
        elif self.users:
            password = self.users.get(user, "").encode()
            if not user or proof != hashlib.sha512(auth + user.encode() + password).hexdigest():
                why = "username/password mismatch"
        if why is not None:
            return why, ["PONG", False, why, "", ""]
        ours = hashlib.sha512(salt.encode() + b"receiver" + nonce + key).hexdigest()
        return None, ["PONG", True, "", "receiver", ours]

    def _message(self, writer: asyncio.StreamWriter) -> Callable[[Any], bool]:
        late: list[str] = []

        def take(message: Any) -> bool:  # noqa: ANN401 - whatever msgpack finds
            read = read_message(message)
            chunk = read.options.get("chunk")
            if chunk in self.chunks:
                raise Faulty(f"a chunk's id is there twice: {chunk}")
            what = self.script.popleft() if self.script else "take"
            if what in {"hang up", "swallow"}:
                return what == "swallow"
            self.messages.append(read)
            self.inbox.add(map(read_record, read.records))
            if chunk is not None:
                self.chunks.add(chunk)
                late.append(chunk)
                if what != "ack later":
                    writer.write(b"".join(msgpack.packb({"ack": each}) for each in late))
                    late.clear()
            return True

        return take


def read_message(message: Any) -> Message:  # noqa: ANN401 - whatever msgpack finds
    """A PackedForward or CompressedPackedForward message. Raises Faulty."""
    tag, packed, options = message
    if not isinstance(tag, str) or not tag or not isinstance(packed, bytes):
        raise Faulty(f"no PackedForward: {message!r:.100}")
    if options.keys() - {"size", "chunk", "compressed"} or options.get("compressed", "gzip") != "gzip":
        raise Faulty(f"options: {options}")
    if "chunk" in options and len(base64.b64decode(options["chunk"], validate=True)) != 16:
        raise Faulty(f"no unique id: {options['chunk']}")
    entries = zlib.decompress(packed, wbits=31) if "compressed" in options else packed
    if len(entries) > MOST_BYTES:
        raise Faulty(f"{len(entries)} bytes of entries")
    # As one array of so many: then neither a half entry nor one too many goes unseen.
    whole = b"\xdd" + options["size"].to_bytes(4, "big") + entries
    records = [_entry(entry) for entry in msgpack.unpackb(whole, raw=False, object_pairs_hook=in_order)]
    return Message(tag, records, options)


def _entry(entry: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever msgpack finds
    """An entry's map, with its time in ns beside it."""
    time, record = entry
    match time:
        case msgpack.ExtType(code=0, data=data) if len(data) == 8:
            seconds, nanos = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")
            if nanos >= 1_000_000_000:
                raise Faulty(f"nanoseconds: {nanos}")
        case int(seconds):
            nanos = 0
        case _:
            raise Faulty(f"no time: {time}")
    fields = record.get("fields", {})
    texts = [text for pair in record.items() if pair != ("fields", fields) for text in pair]
    if not isinstance(fields, dict) or not all(isinstance(text, str) for text in texts):
        raise Faulty(f"not all of it is text: {record}")
    return {**record, "": seconds * 1_000_000_000 + nanos}


def read_record(record: dict[str, Any]) -> Received:
    """An entry as the record it stands for. Raises Faulty."""
    if not record["container_name"].startswith("/") or record["source"] not in {"stdout", "stderr"}:
        raise Faulty(f"not as Docker's driver has it: {record}")
    if record.get("truncated", "true") != "true":
        raise Faulty(f"a truncated that is not true: {record}")
    return Received(
        message=record["log"],
        timestamp_ns=record[""],
        stream=record["source"],
        container=record["container_name"][1:],
        container_id=record["container_id"],
        image=record["image"],
        host=record["host"],
        project=record.get("project"),
        service=record.get("service"),
        labels={name: value for name, value in record.items() if name not in _KNOWN | _OURS | {""}},
        truncated="truncated" in record,
        level=record.get("level"),
        fields=record.get("fields", {}),
        id=record["record_id"],
    )
