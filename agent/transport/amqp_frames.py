"""AMQP 0-9-1 as bytes: frames, and the methods that a publisher says and hears. No I/O.

Source: the specification, 4.2 (frames, fields, properties), its XML for the methods, and RabbitMQ's docs,
"Protocol Extensions" (capabilities, confirms, blocked connections).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

from agent.transport import TransportError

GREETING = b"AMQP\x00\x00\x09\x01"
CHANNEL = 1
LONGEST_NAME = 255
_FRAME_END = 0xCE
_AROUND = 8  # bytes of a frame beside its payload
_KINDS = frozenset({1, 2, 3, 8})
METHOD, HEADER = 1, 2
_CAPABILITIES = ("authentication_failure_close", "basic.nack", "connection.blocked", "publisher_confirms")
#: The properties that may stand before a message's id: the bit that tells of them, and their kind (4.2.6.1).
_BEFORE_ID = ((15, "s"), (14, "s"), (13, "l"), (12, "b"), (11, "b"), (10, "s"), (9, "s"), (8, "s"))
_ID_BIT = 7


class Method(enum.Enum):
    """Class and number of each method that we say or understand."""

    START = (10, 10)
    START_OK = (10, 11)
    TUNE = (10, 30)
    TUNE_OK = (10, 31)
    OPEN = (10, 40)
    OPEN_OK = (10, 41)
    CLOSE = (10, 50)
    CLOSE_OK = (10, 51)
    BLOCKED = (10, 60)
    UNBLOCKED = (10, 61)
    CHANNEL_OPEN = (20, 10)
    CHANNEL_OPEN_OK = (20, 11)
    CHANNEL_CLOSE = (20, 40)
    CHANNEL_CLOSE_OK = (20, 41)
    EXCHANGE_DECLARE = (40, 10)
    EXCHANGE_DECLARE_OK = (40, 11)
    QUEUE_DECLARE = (50, 10)
    QUEUE_DECLARE_OK = (50, 11)
    PUBLISH = (60, 40)
    RETURN = (60, 50)
    ACK = (60, 80)
    NACK = (60, 120)
    SELECT = (85, 10)
    SELECT_OK = (85, 11)


def said(method: Method, arguments: bytes = b"", *, channel: int = CHANNEL) -> bytes:
    """A method as a frame."""
    payload = struct.pack(">HH", *method.value) + arguments
    return struct.pack(">BHL", METHOD, channel, len(payload)) + payload + bytes((_FRAME_END,))


def start_ok(user: str, password: str) -> bytes:
    """Who we are, by the mechanism PLAIN (RFC 4616), and what we understand beyond the specification."""
    capabilities = table(dict.fromkeys(_CAPABILITIES, b"t\x01"))
    properties = {"product": b"S" + long_text(b"dockferry"), "capabilities": b"F" + capabilities}
    response = long_text(f"\0{user}\0{password}".encode())
    arguments = table(properties) + short_text("PLAIN") + response + short_text("en_US")
    return said(Method.START_OK, arguments, channel=0)


def publish(exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """What comes before a message's header and body. mandatory: to be returned when no queue wants it."""
    names = short_text(exchange) + short_text(routing_key)
    return said(Method.PUBLISH, b"\0\0" + names + bytes((mandatory,)))


def close() -> bytes:
    """Good-bye."""
    return said(Method.CLOSE, struct.pack(">H", 200) + short_text("bye") + bytes(4), channel=0)


def declare_exchange(name: str) -> bytes:
    """Asks whether the exchange is there; makes none (passive)."""
    return said(Method.EXCHANGE_DECLARE, b"\0\0" + short_text(name) + short_text("") + b"\x01" + bytes(4))


def declare_queue(name: str) -> bytes:
    """Asks whether the queue is there; makes none (passive)."""
    return said(Method.QUEUE_DECLARE, b"\0\0" + short_text(name) + b"\x01" + bytes(4))


def short_text(text: str) -> bytes:
    """A name, of at most 255 bytes; more are cut off."""
    data = text.encode()[:LONGEST_NAME].decode(errors="ignore").encode()
    return bytes((len(data),)) + data


def long_text(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return struct.pack(">L", len(data)) + data


def table(fields: dict[str, bytes]) -> bytes:
    """A table; each value with the letter of its kind before it."""
    return long_text(b"".join(short_text(name) + value for name, value in fields.items()))


def read_short_text(data: bytes, at: int) -> tuple[bytes, int]:
    """A name, and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end], end


def message_id(header: bytes) -> bytes:
    """The id in the payload of a message's header; empty when there is none."""
    (flags,) = struct.unpack_from(">H", header, 12)
    at = 14
    for bit, kind in _BEFORE_ID:
        if flags >> bit & 1:
            match kind:
                case "s":
                    at += 1 + header[at]
                case "l":
                    at += 4 + int.from_bytes(header[at : at + 4], "big")
                case _:
                    at += 1
    return read_short_text(header, at)[0] if flags >> _ID_BIT & 1 else b""


class Frames:
    """Cuts what is heard into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def of(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The kind and payload of each frame that `data` completes. Raises TransportError."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _AROUND - 1:
            kind, _, size = struct.unpack_from(">BHL", self._buffer, at)
            if kind not in _KINDS:  # among them an 'A': "AMQP" and the version it would rather speak
                raise TransportError("it does not speak AMQP 0-9-1")
            start, at_next = at + _AROUND - 1, at + _AROUND + size
            if len(self._buffer) < at_next:
                break
            if self._buffer[at_next - 1] != _FRAME_END:
                raise TransportError("it does not speak AMQP 0-9-1")
            yield kind, bytes(self._buffer[start : at_next - 1])
            at = at_next
        del self._buffer[:at]
