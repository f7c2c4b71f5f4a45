"""What is compressed can be had back, by decoders that are not ours."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import cramjam
import pytest

from agent.encode.compress import METHODS, compress
from tests.receivers.loki import unsnappy

DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda data: zlib.decompress(data, wbits=31),
    "zstd": lambda data: bytes(cramjam.zstd.decompress(data)),
    "snappy": unsnappy,
}


@pytest.mark.parametrize("method", [*METHODS, "snappy"])
@pytest.mark.parametrize("data", [b"", b"a", b"abc" * 50_000, random.Random(1).randbytes(70_000)])
def test_it_comes_back_as_it_was(method: str, data: bytes) -> None:
    assert DECODERS[method](compress(data, method)) == data


def test_another_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="brotli"):
        compress(b"", "brotli")
