"""A strict S3: one bucket, path style. What is stored once more under its key takes the place of what was there.

Source: Amazon S3 API Reference, "PutObject", "ListObjectsV2", "Error Responses".
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping

import cramjam
from aiohttp import web

from tests.receivers.aws import AwsReceiver
from tests.receivers.received import Faulty, Received, read_line
from tests.receivers.web import Answer, Request

BUCKET = "logs"
KEY_BYTES = 1024
_LIST = (
    '<?xml version="1.0"?><ListBucketResult><Name>logs</Name><KeyCount>0</KeyCount><IsTruncated>false'
    "</IsTruncated></ListBucketResult>"
)


def error(status: int, code: str, message: str = "said so", *, retry_after: str | None = None) -> Answer:
    """An answer that refuses, as S3 words it."""
    headers = {"Content-Type": "application/xml"} | ({"Retry-After": retry_after} if retry_after else {})
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, body, headers)


class S3Receiver(AwsReceiver):
    """objects: what is in the bucket, by key; puts: how often each key was stored."""

    def __init__(self, *, secret: str, most_bytes: int = 1 << 30) -> None:
        super().__init__(secret=secret, most_bytes=most_bytes)
        self.objects: dict[str, list[Received]] = {}
        self.headers: dict[str, Mapping[str, str]] = {}
        self.puts: dict[str, int] = {}

    @property
    def records(self) -> list[Received]:
        """What is in the bucket, in the order of the objects' first coming."""
        return [record for records in self.objects.values() for record in records]

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        path, _, query = request.path.partition("?")
        bucket, _, key = path.removeprefix("/").partition("/")
        if bucket != BUCKET:
            return [], error(404, "NoSuchBucket", "The specified bucket does not exist")
        if not self.signed(request, "s3"):
            return [], error(
                403, "SignatureDoesNotMatch", "Check your key and signing method.\n" + self.secret
            )
        if request.method == "GET" and not key and "list-type=2" in query:
            return [], Answer(200, _LIST, {"Content-Type": "application/xml"})
        if request.method != "PUT" or query or not 0 < len(key.encode()) <= KEY_BYTES:
            raise Faulty(f"{request.method} {request.path}")
        return _records(key, request), Answer(200, "", {"ETag": '"x"'})

    async def _answer(self, seen: Request) -> web.Response:
        before = len(self.inbox.records)
        response = await super()._answer(seen)
        if len(self.inbox.records) > before:
            key = seen.path.removeprefix(f"/{BUCKET}/")
            self.objects[key] = self.inbox.records[before:]
            self.headers[key] = seen.headers
            self.puts[key] = self.puts.get(key, 0) + 1
            self.inbox.notify()
        return response


def _records(key: str, request: Request) -> list[Received]:
    """The lines of an object, of which there is at least one. Raises Faulty."""
    headers = request.headers
    digest = base64.b64encode(hashlib.md5(request.body).digest()).decode()
    if headers.get("Content-MD5") != digest:
        raise Faulty(f"Content-MD5 is {headers.get('Content-MD5')}, and should be {digest}")
    if {"Expect", "Content-Encoding", "Transfer-Encoding", "X-Amz-Trailer"} & set(headers):
        raise Faulty(f"not every server knows these headers: {dict(headers)}")
    for suffix, (kind, decode) in _decoders().items():
        if key.endswith(suffix) and headers.get("Content-Type") == kind:
            lines = decode(request.body)
            break
    else:
        raise Faulty(f"{key}: {headers.get('Content-Type')}")
    if not lines.endswith(b"\n"):
        raise Faulty("the last line has no end")
    return [read_line(line) for line in lines[:-1].split(b"\n")]


def _decoders() -> Mapping[str, tuple[str, Callable[[bytes], bytes]]]:
    return {
        ".ndjson": ("application/x-ndjson", bytes),
        ".ndjson.gz": ("application/gzip", lambda data: zlib.decompress(data, wbits=31)),
        ".ndjson.zst": ("application/zstd", lambda data: bytes(cramjam.zstd.decompress(data))),
    }
