"""HTTP: one request, one reply. Redirects are replies; a failure on the way is a `TransportError`.

A name is resolved anew for every new connection, so that a receiver may move. Of a reply's body some KiB are
read: enough to say why, and all of it where a request says so.
"""

from __future__ import annotations

import functools
import io
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

import agent
from agent.transport import TransportError, reason
from agent.transport.tls import failure

REPLY_BYTES = 16 * 1024
CONNECT_S = 10.0
PIECE_BYTES = 64 * 1024
URLS = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    compress     how the body has yet to be compressed
    query        as it goes into the URL
    reply_bytes  how much of the reply's body is wanted
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    compress: str = "none"
    query: str = ""
    reply_bytes: int = REPLY_BYTES


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names in any case; `body` is cut at the request's `reply_bytes`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def text(self) -> str:
        """The beginning of the body as one line, for a person; empty when it is a web page."""
        if b"<html" in self.body[:1024].lower():
            return ""
        return " ".join(self.body[:500].decode(errors="replace").split())


class HttpClient:
    """One receiver, asked over a few kept connections. Made inside a running loop; `close` it."""

    def __init__(
        self,
        origin: URL,
        *,
        context: ssl.SSLContext | None,
        headers: Mapping[str, str],
        timeout_s: float,
        connections: int,
    ) -> None:
        self._origin = origin
        self._timeout_s = timeout_s
        self._url = functools.lru_cache(URLS)(self._made_url)
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": f"dockferry/{agent.__version__}", **headers},
            connector=aiohttp.TCPConnector(
                ssl=context if context is not None else True, limit=connections, use_dns_cache=False
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
        )

    async def send(self, request: Request) -> Reply:
        """Raises TransportError, UntrustedError. The body goes out as it is."""
        try:
            async with self._session.request(
                request.method,
                self._url(request.path, request.query),
                headers=request.headers,
                data=_payload(request.body),
                allow_redirects=False,
            ) as response:
                body = await _start_of(response, request.reply_bytes)
                return Reply(response.status, CIMultiDictProxy(response.headers), body)
        except TimeoutError as error:
            raise TransportError(f"{self._where}: no answer within {self._timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise explained(error, self._where) from error

    def _made_url(self, path: str, query: str) -> URL:
        url = self._origin.with_path(path or "/")
        return URL(f"{url}?{query}", encoded=True) if query else url

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    @property
    def _where(self) -> str:
        return f"{self._origin.raw_host}:{self._origin.port}"


def explained(error: aiohttp.ClientError, where: str) -> TransportError:
    """The same as an error of ours, about `where`: the address's path is left out, as it may hold a token."""
    about_tls = _tls_error(error)
    if about_tls is not None:
        known = failure(about_tls)
        return type(known)(f"{where}: {known}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError(f"cannot connect to {where}: {reason(error.os_error)}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return TransportError(f"{where}: it closed the connection without an answer")
    if isinstance(error, OSError):
        return TransportError(f"{where}: {reason(error)}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransportError(f"{where}: its answer breaks off")
    return TransportError(f"{where}: its answer is no HTTP")


def _tls_error(error: aiohttp.ClientError) -> ssl.SSLError | None:
    """OpenSSL's error behind `error`, if it is about TLS. aiohttp's own are SSLErrors, too, but empty ones."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        found: BaseException | None = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        found = error.os_error
    else:
        found = error.__cause__
    return found if isinstance(found, ssl.SSLError) else None


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """A large one goes out in pieces: the loop lives."""
    return io.BytesIO(body) if len(body) > PIECE_BYTES else body or None


async def _start_of(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    while len(body) < most and (part := await response.content.read(most - len(body))):
        body += part
    return bytes(body)
