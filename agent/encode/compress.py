"""Compression of a whole request. cramjam works outside the GIL: in a thread, it does not hold up the loop."""

from __future__ import annotations

import cramjam

#: What an option `compress` may say; but for `none` also the words of Content-Encoding (RFC 9110, 8.4.1).
METHODS = ("none", "gzip", "zstd")
_GZIP_LEVEL = 1  # logs shrink to a tenth even so; level 6 takes three times as long for a little more
_ZSTD_LEVEL = 1


def compress(data: bytes, method: str) -> bytes:
    """`data` by one of `METHODS`, or by `snappy`: its block format, no frames. Raises ValueError for another."""
    match method:
        case "none":
            return data
        case "gzip":
            return bytes(cramjam.gzip.compress(data, level=_GZIP_LEVEL))
        case "zstd":
            return bytes(cramjam.zstd.compress(data, level=_ZSTD_LEVEL))
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(data))
        case _:
            raise ValueError(f"no such compression: {method}")
