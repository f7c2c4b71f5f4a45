"""What is written by hand is what the protobuf runtime reads, and the other way round."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf import wrappers_pb2
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord

from agent.encode.protobuf import field, fields, varint, varint_size


@given(st.integers(0, (1 << 64) - 1))
def test_a_varint_is_the_runtime_s(value: int) -> None:
    written = wrappers_pb2.UInt64Value(value=value).SerializeToString() or b"\x08\x00"
    assert b"\x08" + varint(value) == written
    assert varint_size(value) == len(varint(value))


@given(st.binary(min_size=1, max_size=20_000))
def test_a_field_is_the_runtime_s(data: bytes) -> None:
    assert field(1, data) == wrappers_pb2.BytesValue(value=data).SerializeToString()


def test_every_kind_of_field_is_read() -> None:
    record = LogRecord(time_unix_nano=7, severity_number=SEVERITY_NUMBER_INFO, severity_text="info", flags=1)
    assert list(fields(record.SerializeToString())) == [
        (1, (7).to_bytes(8, "little")),
        (2, 9),
        (3, b"info"),
        (8, (1).to_bytes(4, "little")),
    ]


@given(st.binary(max_size=50))
@example(b"\x08\xff")
@example(b"\x0b")
@example(b"\x12\x05half")
@example(b"\x09half")
def test_what_is_no_message_is_a_valueerror_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert sum(1 for _ in fields(data)) <= len(data)


@pytest.mark.parametrize("data", [b"\x08\xff", b"\x0b", b"\x12\x05half", b"\x09half", b"\x0dcut"])
def test_half_a_message_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no protobuf message"):
        list(fields(data))
