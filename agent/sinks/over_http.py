"""What every sink that speaks HTTP shares: its options, and what the status of a reply means (RFC 9110, 15).

A sink over HTTP is `encode`, and where its protocol differs `judge`, `question` and `judge_answer`.
"""

from __future__ import annotations

import abc
import base64
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import ClassVar, Generic, TypeVar

from yarl import URL

from agent.batch import Batch
from agent.encode.compress import compressed
from agent.errors import SettingsError
from agent.options import SECRET, TEXT, Kind, Secret, option, optional, revealed
from agent.sinks.base import (
    Delivered,
    Misconfigured,
    Outcome,
    Refused,
    Retry,
    Sink,
    Target,
    TlsOptions,
    TooLarge,
)
from agent.transport import TransportError, UntrustedError
from agent.transport.http import HttpClient, Reply, Request

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_KEY = re.compile(r"[\x21-\x7e]+")


def _headers(text: str) -> tuple[tuple[str, Secret], ...]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, equals, value in pairs:
        if not equals or not _TOKEN.fullmatch(name.strip()) or not _VALUE.fullmatch(value):
            raise ValueError("a list such as X-Api-Key=abc,X-Source=docker")
    return tuple((name.strip(), Secret(value.strip())) for name, _, value in pairs)


#: Written as in OTEL_EXPORTER_OTLP_HEADERS. Keys are sent this way: so all of it is a secret.
HEADERS: Kind[tuple[tuple[str, Secret], ...]] = Kind(SECRET.name, _headers, lambda _: "***")


def _key(text: str) -> Secret:
    if not _KEY.fullmatch(text):
        raise ValueError("made of printable ASCII characters without blanks")
    return Secret(text)


#: A token or key that becomes part of a header.
KEY: Kind[Secret] = Kind(SECRET.name, _key, lambda _: "***")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions(TlsOptions):
    """The options of every sink over HTTP."""

    user: str | None = option(optional(TEXT), None, help="name for basic authentication", group="http")
    password: Secret | None = option(optional(SECRET), None, help="password to it", group="http")
    token: Secret | None = option(optional(KEY), None, help="bearer token", group="http")
    headers: tuple[tuple[str, Secret], ...] = option(
        HEADERS, (), help="further headers: name=value,name=value", example="X-Api-Key=abc", group="http"
    )


Options = TypeVar("Options", bound=HttpOptions)


class HttpSink(Sink[Options], Generic[Options]):
    """A receiver that is given each request by HTTP, and answers for it.

    most_bytes  the longest body the protocol takes, before compression; None: as the receiver says
    """

    most_bytes: ClassVar[int | None] = None

    def __init__(self, target: Target, options: Options) -> None:
        super().__init__(target, options)
        if not target.host:
            raise SettingsError(
                [f"sink {target.name}: the host is missing, as in {self._scheme}://host/path"]
            )
        if options.token is not None and options.user is not None:
            raise SettingsError([f"sink {target.name}: user and token are both set; keep one"])
        self._client: HttpClient | None = None
        self._hidden: tuple[bytes, ...] = ()

    @abc.abstractmethod
    def encode(self, batches: Sequence[Batch]) -> Request:
        """The request that carries these records."""

    def judge(self, reply: Reply) -> Outcome:
        """What the reply to `encode`'s request means."""
        return judge(reply, now=time.time())

    @abc.abstractmethod
    def question(self) -> Request:
        """The request that asks whether the receiver would accept, and leaves no trace."""

    def judge_answer(self, reply: Reply) -> Outcome:
        """What the reply to `question`'s request means."""
        return self.judge(reply)

    async def open(self, checkpoint: bytes | None, save: Callable[[bytes], Awaitable[None]]) -> None:  # noqa: ARG002
        self._hidden = tuple(self._secrets())
        self._client = HttpClient(
            URL.build(scheme=self._scheme, host=self.target.host, port=self.target.port),
            context=self.options.context() if self._scheme == "https" else None,
            headers=self._own_headers(),
            timeout_s=self.options.timeout,
            connections=self.options.concurrency,
        )

    async def deliver(self, batches: Sequence[Batch]) -> Outcome:
        return await self._ask(self.encode(batches), self.judge)

    async def probe(self) -> Outcome:
        return await self._ask(self.question(), self.judge_answer)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _ask(self, request: Request, judge: Callable[[Reply], Outcome]) -> Outcome:
        if self._client is None:
            raise RuntimeError("a sink is opened before it is used")
        if self.most_bytes is not None and len(request.body) > self.most_bytes:
            return TooLarge(f"a request of {len(request.body)} bytes, and it takes {self.most_bytes}")
        try:
            if request.compress != "none":
                request = replace(request, body=await compressed(request.body, request.compress))
            reply = await self._client.send(request)
        except UntrustedError as error:
            return Misconfigured(str(error))
        except TransportError as error:
            return Retry(str(error))
        return judge(self._quotable(reply))

    @property
    def _scheme(self) -> str:
        return self.target.transport or self.target.scheme

    def _own_headers(self) -> dict[str, str]:
        headers = {name: value.reveal() for name, value in self.options.headers}
        if self.options.token is not None:
            headers["Authorization"] = f"Bearer {self.options.token.reveal()}"
        elif self.options.user is not None:
            headers["Authorization"] = f"Basic {self._basic()}"
        return headers

    def _basic(self) -> str:
        password = self.options.password.reveal() if self.options.password is not None else ""
        return base64.b64encode(f"{self.options.user}:{password}".encode()).decode()

    def _secrets(self) -> Iterator[bytes]:
        """What must not be quoted: some receivers repeat what they were sent."""
        texts = [value.reveal() for _, value in self.options.headers] + revealed(self.options)
        texts += self._own_headers().get("Authorization", "").split()[-1:]  # encoded, or more than a token
        yield from (text.encode() for text in texts if text)

    def _quotable(self, reply: Reply) -> Reply:
        body = reply.body
        for secret in self._hidden if body else ():
            body = body.replace(secret, b"***")
        return reply if body is reply.body else replace(reply, body=body)


def judge(reply: Reply, *, now: float) -> Outcome:
    """What a status means where the protocol says nothing else. `now`: seconds since the epoch."""
    status = reply.status
    why = f"it answered {status}" + (f": {reply.text}" if reply.text else "")
    if 200 <= status < 300:
        return Delivered()
    if 300 <= status < 400:
        return Misconfigured(
            f"it answered {status} and sends us to {_host(reply)}: give the sink that address"
        )
    match status:
        case 413:
            return TooLarge(why)
        case 408 | 425 | 429:
            return Retry(why, retry_after(reply, now))
        case 401 | 403 | 404 | 405 | 407:
            return Misconfigured(why)
        case _ if status < 500:
            return Refused(why)
        case _:
            return Retry(why, retry_after(reply, now))


def retry_after(reply: Reply, now: float) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP-date; None when there is neither."""
    text = reply.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _host(reply: Reply) -> str:
    """Where a redirect leads; path and query are left out, as they may hold a token."""
    try:
        return URL(reply.headers.get("Location", "")).host or "another path"
    except ValueError:
        return "an address that is none"
