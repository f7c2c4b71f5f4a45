"""A strict Cloud Logging: it gives a token for what a service account has signed, and judges each entry.

Source: Cloud Logging API Reference, "Method: entries.write", "LogEntry", "Quotas and limits"; Google Identity,
"Using OAuth 2.0 for Server to Server Applications".
"""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
import zlib
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.receivers.received import Faulty, Received, in_order, nanoseconds
from tests.receivers.web import Answer, Request, WebReceiver

PROJECT, LOG = "my-project", "docker"
REQUEST_BYTES, ENTRY_BYTES = 10_000_000, 256 * 1024
SCOPE = "https://www.googleapis.com/auth/logging.write"
AUDIENCE = "https://oauth2.googleapis.com/token"
TOKEN = "ya29.a-token-of-the-test"
PARTIAL = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
_PAYLOAD = {"instance", "container", "stream", "tag", "host", "project", "service"}
_PAYLOAD |= {"truncated", "fields", "message"}
_SEVERITIES = {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
_CONTAINER = {"name", "id", "imageName", "imageId", "metadata"}


class ServiceAccount:
    """A key made for the test."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.email = "agent@my-project.iam.gserviceaccount.com"
        self.pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def json(self, token_uri: str) -> str:
        """The file that Google's console gives."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "1",
                "private_key": self.pem,
                "client_email": self.email,
                "token_uri": token_uri,
            }
        )

    def claims(self, assertion: str) -> dict[str, Any]:
        """What it signed. Raises Faulty when it was not this key."""
        signed, _, signature = assertion.rpartition(".")
        try:
            self._key.public_key().verify(
                _unbase64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature as error:
            raise Faulty("the assertion is not signed by this account") from error
        claims: dict[str, Any] = json.loads(_unbase64(signed.partition(".")[2]))
        return claims


class TokenReceiver(WebReceiver):
    """Trades an assertion for a token. given: how often; locked: it knows the account no more."""

    def __init__(self, account: ServiceAccount) -> None:
        super().__init__()
        self.account = account
        self.given = 0
        self.locked = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        if request.path != "/token" or form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Faulty(f"{request.path} {form}")
        claims = self.account.claims(form["assertion"])
        if (claims["iss"], claims["aud"], claims["scope"]) != (self.account.email, AUDIENCE, SCOPE):
            raise Faulty(f"claims: {claims}")
        if not claims["iat"] <= time.time() + 10 < claims["exp"] <= claims["iat"] + 3600:
            raise Faulty(f"claims: {claims}")
        if self.locked:
            said = {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
            return [], Answer(400, json.dumps(said), {"Content-Type": "application/json"})
        self.given += 1
        token = {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        return [], Answer(200, json.dumps(token), {"Content-Type": "application/json"})


class GcpLogsReceiver(WebReceiver):
    """Takes entries for one log. Of those with the same insertId only the first is kept.

    refuses   by message, the error an entry gets: google.rpc.Code and why
    resource  what all entries have to be of
    entries   what is kept
    """

    def __init__(self) -> None:
        super().__init__(authorization=f"Bearer {TOKEN}")
        self.refuses: dict[str, tuple[int, str]] = {}
        self.resource: dict[str, Any] = {"type": "global", "labels": {"project_id": PROJECT}}
        self.entries: list[dict[str, Any]] = []

    def read(self, request: Request) -> tuple[list[Received], Answer]:
        if (request.method, request.path) != ("POST", "/v2/entries:write"):
            raise Faulty(f"{request.method} {request.path}")
        if request.headers["Content-Type"] != "application/json":
            raise Faulty(f"headers: {dict(request.headers)}")
        gzipped = request.headers.get("Content-Encoding") == "gzip"
        body = zlib.decompress(request.body, wbits=31) if gzipped else request.body
        if len(body) > REQUEST_BYTES:
            raise Faulty(f"a request of {len(body)} bytes")
        asked = json.loads(body.decode("utf-8", errors="strict"), object_pairs_hook=in_order)
        entries = asked.pop("entries")
        dry = asked.pop("dryRun", False)
        if asked != {
            "logName": f"projects/{PROJECT}/logs/{LOG}",
            "resource": self.resource,
            "partialSuccess": True,
        }:
            raise Faulty(f"a request for {asked}")
        if dry:
            return [], Answer(200, "{}")
        judged = {place: self._error(entry) for place, entry in enumerate(entries)}
        errors = {str(place): error for place, error in judged.items() if error is not None}
        taken = [entry for place, entry in enumerate(entries) if str(place) not in errors]
        known = {entry["insertId"] for entry in self.entries}
        self.entries += [entry for entry in taken if entry["insertId"] not in known]
        records = [read_entry(entry) for entry in taken]
        return records, partial(errors) if errors else Answer(200, "{}")

    def _error(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        size = len(json.dumps(entry, ensure_ascii=False).encode())
        if size > ENTRY_BYTES:
            return {"code": 3, "message": f"Log entry with size {size} exceeds maximum size of {ENTRY_BYTES}"}
        code, why = self.refuses.get(entry["jsonPayload"]["message"], (0, ""))
        return {"code": code, "message": why} if code else None


def partial(errors: dict[str, Any]) -> Answer:
    """The answer where some entries were not written."""
    said = {
        "error": {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "message": "some entries were not written",
            "details": [{"@type": PARTIAL, "logEntryErrors": errors}],
        }
    }
    return Answer(400, json.dumps(said), {"Content-Type": "application/json"})


def error(status: int, name: str, message: str) -> Answer:
    """An answer that refuses all of a request, as Google words it."""
    said = {"error": {"code": status, "status": name, "message": message}}
    return Answer(status, json.dumps(said), {"Content-Type": "application/json"})


def read_entry(entry: dict[str, Any]) -> Received:
    """One LogEntry. Raises Faulty."""
    optional = {"severity", "trace", "spanId", "traceSampled"}
    if set(entry) - optional != {"insertId", "timestamp", "jsonPayload"}:
        raise Faulty(f"keys: {list(entry)}")
    payload = entry["jsonPayload"]
    container = payload["container"]
    if set(payload) - _PAYLOAD or set(container) - _CONTAINER:
        raise Faulty(f"keys: {list(payload)}, {list(container)}")
    if payload.get("truncated", True) is not True or not container["name"].startswith("/"):
        raise Faulty(f"not as the driver says it: {payload}")
    return Received(
        message=payload["message"],
        timestamp_ns=nanoseconds(entry["timestamp"]),
        stream=payload["stream"],
        container=container["name"][1:],
        container_id=container["id"],
        image=container["imageName"],
        host=payload["host"],
        tag=payload["tag"],
        project=payload.get("project"),
        service=payload.get("service"),
        labels=container.get("metadata", {}),
        truncated=payload.get("truncated", False),
        level=_level(entry.get("severity")),
        fields=payload.get("fields", {}),
        id=entry["insertId"],
    )


def _level(severity: str | None) -> str | None:
    if severity is not None and severity not in _SEVERITIES:
        raise Faulty(f"severity: {severity}")
    return severity and severity.lower()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
