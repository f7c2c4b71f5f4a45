"""Protobuf's wire format by hand: what a few message types need, without a runtime.

Source: protobuf's docs, "Encoding". A message is fields one after the other; a field is its number and wire type
in one varint, then a varint (type 0), eight bytes (1), a length and that many bytes (2), or four bytes (5).
"""

from __future__ import annotations

from collections.abc import Iterator


def field(number: int, data: bytes) -> bytes:
    """A field of wire type 2: a message, a string or bytes."""
    return head(number, len(data)) + data


def head(number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a field of wire type 2; `number` is at most 15."""
    return bytes((number << 3 | 2,)) + varint(size)


def varint(value: int) -> bytes:
    """`value` ≥ 0 in base 128, least digit first; all but the last have the high bit set."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def varint_size(value: int) -> int:
    """How many bytes `varint` makes."""
    return (value.bit_length() + 6) // 7 or 1


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field. Raises ValueError where `message` is none."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        match key & 7:
            case 0:
                value, at = _read_varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _read_varint(message, at)
            case 5:
                size = 4
            case _:
                raise ValueError("no protobuf message")
        if at + size > len(message):
            raise ValueError("no protobuf message")
        yield key >> 3, message[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint that begins there, and where it ends."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
    raise ValueError("no protobuf message")
