"""Compression of a whole request. cramjam works outside the GIL: in a thread, it does not hold up the loop."""

from __future__ import annotations

import asyncio

import cramjam

#: What an option `compress` may say; but for `none` also the words of Content-Encoding (RFC 9110, 8.4.1).
METHODS = ("none", "gzip", "zstd")
_GZIP_LEVEL = 1  # logs shrink to a tenth even so; level 6 takes three times as long for a little more
_ZSTD_LEVEL = 1
_LZ4_LEVEL = 1
#: Compressing more than this takes longer than the loop should wait.
IN_THREAD_BYTES = 256 * 1024


async def compressed(data: bytes, method: str) -> bytes:
    """The same as `compress`, without holding up the loop."""
    if len(data) > IN_THREAD_BYTES and method != "none":
        return await asyncio.to_thread(compress, data, method)
    return compress(data, method)


def compress(data: bytes, method: str) -> bytes:
    """`data` by one of `METHODS`, by `zlib`, or by `snappy`: its block format, no frames. Raises ValueError."""
    match method:
        case "none":
            return data
        case "gzip":
            return bytes(cramjam.gzip.compress(data, level=_GZIP_LEVEL))
        case "zlib":
            return bytes(cramjam.zlib.compress(data, level=_GZIP_LEVEL))
        case "zstd":
            return bytes(cramjam.zstd.compress(data, level=_ZSTD_LEVEL))
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(data))
        case "lz4":
            frame = cramjam.lz4.Compressor(level=_LZ4_LEVEL, content_checksum=False, block_linked=False)
            frame.compress(data)
            return bytes(frame.finish())
        case _:
            raise ValueError(f"no such compression: {method}")
