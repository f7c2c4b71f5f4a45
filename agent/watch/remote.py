"""A running agent, over HTTP: its state, and its lines as they pass."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import orjson
from yarl import URL

from agent.errors import DockferryError, UsageError
from agent.given import read_value
from agent.options import Secret
from agent.settings import Settings, reachable, show_address

_ANSWER_S: Final = 10.0
#: A comment comes every 15 s when nothing else does.
_SILENCE_S: Final = 45.0
_EVENT_MOST_BYTES: Final = 64 << 20


class Unanswered(DockferryError):
    """The agent does not answer, or not any more: it may later."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something the agent tells. `id` is what to go on after; `data` as the API's reference has it."""

    id: str
    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent answers, and what it asks for."""

    url: URL
    token: Secret | None = None

    @classmethod
    def of(cls, settings: Settings, url: str | None, token_file: str | None) -> Self:
        """The agent at `url`; None: the one that runs here with the same settings. Raises UsageError."""
        token = settings.http_token
        if token_file is not None:
            try:
                token = Secret(read_value(Path(token_file)))
            except ValueError as error:
                raise UsageError(f"--token-file: {error}") from None
        if url is None:
            if settings.http is None:
                raise UsageError(
                    "DOCKFERRY_HTTP is off: set an address, or say --url of the agent to be asked"
                )
            host, port = settings.http
            url = f"http://{show_address(reachable(host), port)}"
        try:
            parsed = URL(url)
        except ValueError:
            parsed = URL()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise UsageError(f"--url {url}: a URL such as http://node-1:9469")
        return cls(parsed.with_path("/"), token)


class Remote:
    """Answers while its `async with` lasts."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session: aiohttp.ClientSession

    @property
    def where(self) -> str:
        """As a person knows it."""
        return str(self._place.url).rstrip("/")

    async def __aenter__(self) -> Self:
        token = self._place.token
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        self._session = aiohttp.ClientSession(headers=headers, read_bufsize=1 << 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def state(self) -> dict[str, Any]:
        """How everything fares. Raises Unanswered, or UsageError: it refuses."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        async with self._asked("api/state", {}, timeout) as answer:
            try:
                state: dict[str, Any] = orjson.loads(await answer.read())
            except ValueError:
                raise UsageError(f"{self.where} is no agent: it answers something else") from None
        return state

    async def tail(self, query: Mapping[str, str], last_id: str) -> AsyncIterator[Event]:
        """Lines as they pass, after the event `last_id` if it is known still. Raises as `state`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_S, sock_read=_SILENCE_S)
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with self._asked("api/tail", query, timeout, headers) as answer:
            fields: dict[str, str] = {}
            async for line in self._lines(answer):
                if line:
                    name, _, value = line.decode(errors="replace").partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    yield Event(fields.get("id", ""), fields.get("event", ""), orjson.loads(fields["data"]))
                    fields.clear()

    async def _lines(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in answer.content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > _EVENT_MOST_BYTES:
                raise UsageError(f"{self.where} is no agent: it sends a line without end")

    @contextlib.asynccontextmanager
    async def _asked(
        self,
        path: str,
        query: Mapping[str, str],
        limits: aiohttp.ClientTimeout,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self._place.url.joinpath(path)
        try:
            async with self._session.get(url, params=query, timeout=limits, headers=headers) as answer:
                if answer.status == 503:
                    raise Unanswered(await _said(answer))
                if answer.status != 200:
                    raise UsageError(f"{self.where} answers {answer.status}: {await _said(answer)}")
                yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unanswered(f"no agent answers at {self.where}: {why}") from error


async def _said(answer: aiohttp.ClientResponse) -> str:
    """Why it refuses, for a person."""
    body = await answer.content.read(4096)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(orjson.loads(body)["error"])
    return answer.reason or "no reason given"
