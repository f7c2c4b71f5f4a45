"""Secrets for tests: planted in every place that takes one, and looked for in whatever form they might come out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from agent.options import declared
from agent.sinks import schemes

#: What a URL takes that is to have a secret in it, by the beginning of its scheme.
_PLACES: Mapping[str, str] = {
    "http": "{at}/logs?",
    "kafka": "{at}/topic?sasl=plain&",
    "nats": "{at}/logs.x?",
    "redis": "{at}/0/stream?",
    "amqp": "{at}/%2f/logs?",
    "elasticsearch": "{at}/logs?",
    "opensearch": "{at}/logs?",
    "datadog": "?endpoint=http://{at}&",
    "s3": "bucket/prefix?region=x&endpoint=http://{at}&access_key_id=AKIA&",
    "cloudwatch": "x/group?endpoint=http://{at}&access_key_id=AKIA&",
}
_ENCRYPTED = ("https", "tls", "rediss", "amqps")
_ALONE = frozenset({"redact_key", "nkey", "credentials"})  # in another place, or of a form of their own
_NEEDS: Mapping[str, dict[str, str]] = {
    "password": {"user": "me"},
    "shared_key": {"user": "me", "password": "unplanted"},
    "session_token": {"secret_access_key": "unplanted"},
}
_NEEDS_OF = {
    ("datadog", "headers"): {"api_key": "0" * 32},
    ("datadog", "password"): {"api_key": "0" * 32},
    ("datadog", "token"): {"api_key": "0" * 32},
    ("splunk+http", "headers"): {"token": "unplanted"},
    ("fluent+tcp", "password"): {"shared_key": "unplanted"},
    ("fluent+tls", "password"): {"shared_key": "unplanted"},
}
#: The same in other clothes: where TLS ends, or a socket has a path, the rest is as without.
_AS_OTHERS = frozenset({"fluent+unix", "splunk+https", "opensearch+http", "opensearch+https"})


@dataclass(slots=True)
class Planted:
    """Secrets that were given away, by where."""

    values: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new(self, place: str) -> str:
        """A secret of 32 hexadecimal digits, so that every receiver takes it."""
        secret = self.values[place] = f"5ec7e7{next(self._numbers):08d}{'9a8b7c' * 3}"
        return secret

    def found_in(self, text: str) -> set[str]:
        """The places whose secret is in `text`, as it is, or in base64 or hexadecimal."""
        lower = text.lower()
        return {
            place
            for place, secret in self.values.items()
            if secret.lower() in lower
            or secret.encode().hex() in lower
            or any(code in text for code in _codes(secret))
        }


def _codes(secret: str) -> Iterator[str]:
    """Its middle in base64, wherever in the encoded text it may begin."""
    for ahead in range(3):
        yield base64.b64encode(b"\0" * ahead + secret.encode()).decode()[4:-4]


def urls(planted: Planted, addresses: Iterable[str]) -> dict[str, str]:
    """By sink name, a URL for each scheme, each of its secrets and each address (`host:port`).

    TLS is tried at the first address only: nobody speaks it there, so that all end alike.
    """
    made: dict[str, str] = {}
    for number, address in enumerate(addresses):
        for scheme in schemes():
            secrets = {each.name for each in declared(scheme.options) if each.secret} - _ALONE
            if scheme.name in _AS_OTHERS or (number and scheme.name.endswith(_ENCRYPTED)):
                continue
            for option in sorted(secrets):
                name = f"{scheme.name}-{option}-{number}".replace("+", "-")
                made[name] = _url(scheme.name, option, planted.new(name), address)
    return made


def _url(scheme: str, option: str, secret: str, address: str) -> str:
    place = next((text for start, text in _PLACES.items() if scheme.startswith(start)), "{at}?")
    given = _NEEDS.get(option, {}) | _NEEDS_OF.get((scheme, option), {})
    text = f"x-key={secret}" if option == "headers" else f"key={secret}" if option == "query" else secret
    query = "&".join(f"{name}={quote(value)}" for name, value in (given | {option: text}).items())
    return f"{scheme}://{place.format(at=address)}{query}&batch_age=50ms&select=name=talker"


@contextlib.asynccontextmanager
async def parrot(*statuses: int) -> AsyncIterator[list[str]]:
    """Receivers that answer whatever comes with a refusal that quotes it; an address for each HTTP status."""
    async with contextlib.AsyncExitStack() as stack:
        addresses = []
        for status in statuses:
            server = await stack.enter_async_context(
                await asyncio.start_server(_Parrot(status).serve, "127.0.0.1", 0)
            )
            addresses.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield addresses


class _Parrot:
    def __init__(self, status: int) -> None:
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):
                await self._answer(reader, writer)
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(0.5):
                heard = await reader.read(65536)
        except TimeoutError:  # one that waits to be spoken to: NATS
            writer.write(
                b'INFO {"server_id":"x","auth_required":true,"max_payload":1048576,"headers":true}\r\n'
            )
            heard = await reader.read(65536)
        quoted = heard.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\0", b" ")
        if b" HTTP/1." in heard:
            body = b'{"message":"not with this: ' + quoted.replace(b'"', b"'") + b'"}'
            reason = quoted[:2000].decode("latin-1")
            head = f"HTTP/1.1 {self._status} {reason}\r\nContent-Type: application/json\r\n"
            writer.write(
                f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("latin-1") + body
            )
        else:
            writer.write(b"-ERR 'Authorization Violation: " + quoted + b"'\r\n")
        await writer.drain()
