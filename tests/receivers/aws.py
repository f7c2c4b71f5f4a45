"""The ground for receivers that speak as Amazon's services do: they check every signature.

Source: AWS General Reference, "Signature Version 4 signing process"; written from it, and with no code of botocore's.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from aiohttp import web
from yarl import URL

from tests.receivers.received import Faulty
from tests.receivers.web import Request, WebReceiver

ACCESS_KEY_ID = "AKIDEXAMPLE"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/[^/]+/([^/]+)/aws4_request), "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


class AwsReceiver(WebReceiver):
    """Takes what is signed with `secret`."""

    def __init__(self, *, secret: str, most_bytes: int = 1 << 30) -> None:
        super().__init__(most_bytes=most_bytes)
        self.secret = secret

    def _authorized(self, request: web.BaseRequest) -> web.Response | None:
        """The signature covers the body, which is looked at later."""
        return None

    def signed(self, request: Request, service: str) -> bool:
        """Whether it is signed with our secret. Raises Faulty when it is not signed at all."""
        match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if match is None or match[1] != ACCESS_KEY_ID or match[3] != service:
            raise Faulty(f"not signed: {request.headers.get('Authorization')}")
        names = match[4].split(";")
        if not {"host", "x-amz-date"} <= set(names):
            raise Faulty(f"what counts is not signed: {names}")
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                request.headers["X-Amz-Date"],
                match[2],
                _sha256(_canonical(request, names).encode()),
            ]
        )
        key = f"AWS4{self.secret}".encode()
        for part in match[2].split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), match[5])


def _canonical(request: Request, names: list[str]) -> str:
    url = URL(request.path, encoded=True)
    query = "&".join(
        sorted(part if "=" in part else f"{part}=" for part in url.raw_query_string.split("&") if part)
    )
    headers = [f"{name}:{' '.join(request.headers[name].split())}\n" for name in names]
    own = _sha256(request.body)
    told = request.headers.get("X-Amz-Content-Sha256", own)
    if told not in {own, "UNSIGNED-PAYLOAD"}:
        raise Faulty(f"the body is not what was signed: {told}")
    return "\n".join([request.method, url.raw_path, query, "".join(headers), ";".join(names), told])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
