"""A reader of the Engine API that takes nothing for granted: it checks frames, and names how a body ended."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import aiohttp

DEADLINE_SECONDS = 10.0
BOTH = {"stdout": "1", "stderr": "1"}
Frame = tuple[int, bytes]


class Client:
    """HTTP over the Engine's Unix socket; every wait has a deadline."""

    def __init__(self, socket_path: str, http_version: aiohttp.HttpVersion = aiohttp.HttpVersion11) -> None:
        self._session = aiohttp.ClientSession(
            base_url="http://engine",
            connector=aiohttp.UnixConnector(socket_path),
            version=http_version,
            timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS),
        )
        self._readings: list[Reading] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reading in self._readings:
            reading.close()
        await self._session.close()

    async def request(self, method: str, path: str, **query: str) -> tuple[int, bytes]:
        """Return status and body."""
        async with self._session.request(method, path, params=query) as response:
            return response.status, await response.read()

    async def headers(self, method: str, path: str, **query: str) -> dict[str, str]:
        """Return the head of the answer."""
        async with self._session.request(method, path, params=query) as response:
            return dict(response.headers)

    async def json(self, path: str, **query: str) -> Any:  # noqa: ANN401  (whatever the document is)
        """Return the document at this path; it must be there."""
        status, body = await self.request("GET", path, **query)
        assert status == 200, body
        return json.loads(body)

    async def message(self, method: str, path: str, **query: str) -> tuple[int, str]:
        """Return status and text of an error."""
        status, body = await self.request(method, path, **query)
        assert status >= 400
        return status, json.loads(body)["message"]

    async def logs(self, name: str, **query: str) -> bytes:
        """Return a whole answer to `/logs`."""
        status, body = await self.request("GET", f"/containers/{name}/logs", **(BOTH | query))
        assert status == 200, body
        return body

    async def open(self, path: str, method: str = "GET", **query: str) -> Reading:
        """Begin to read a stream."""
        response = await self._session.request(method, path, params=query)
        assert response.status == 200, await response.text()
        self._readings.append(Reading(response))
        return self._readings[-1]

    async def follow(self, name: str, **query: str) -> Reading:
        """Begin to follow a container's log."""
        return await self.open(f"/containers/{name}/logs", **(BOTH | {"follow": "1"} | query))

    async def attach(self, name: str, **query: str) -> Reading:
        """Begin to read a container's live output."""
        return await self.open(f"/containers/{name}/attach", "POST", **(BOTH | {"stream": "1"} | query))

    async def events(self, **query: str) -> Reading:
        """Begin to listen."""
        return await self.open("/events", **query)


class Reading:
    """A stream under way."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def exactly(self, count: int) -> bytes:
        """Return so many bytes."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.response.content.readexactly(count)

    async def frame(self) -> Frame:
        """Return the next frame."""
        stream, length = struct.unpack(">B3xL", await self.exactly(8))
        return stream, await self.exactly(length)

    async def line(self) -> bytes:
        """Return the next line."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.response.content.readline()

    async def event(self) -> dict[str, Any]:
        """Return the next event."""
        document: dict[str, Any] = json.loads(await self.line())
        return document

    async def chunk(self) -> bytes:
        """Return the next HTTP chunk."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            data, complete = await self.response.content.readchunk()
        assert complete or not data
        return data

    async def rest(self) -> bytes:
        """Return all up to a clean end."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.response.content.read()

    async def broken_rest(self) -> bytes:
        """Return all up to where the body breaks off without its end."""
        data = b""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                async for part in self.response.content.iter_any():
                    data += part
        except aiohttp.ClientPayloadError:
            return data
        raise AssertionError("the body had an end")

    def close(self) -> None:
        """Drop the connection."""
        self.response.close()


def frames(body: bytes) -> Iterator[Frame]:
    """Demultiplex; a body that does not end with a whole frame is an error."""
    while body:
        stream, length = struct.unpack(">B3xL", body[:8])
        assert len(body) >= 8 + length, "the body ends within a frame"
        yield stream, body[8 : 8 + length]
        body = body[8 + length :]


def texts(body: bytes) -> list[bytes]:
    """Return the payloads of the frames."""
    return [payload for _, payload in frames(body)]
