"""`/api/tail`: lines as they pass, with Server-Sent Events. The client's pace is its own: see `tap`."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import web

from agent.http.frames import QUIET, Frames
from agent.http.guard import refusal
from agent.http.tap import MAX_CLIENTS, Client, Tap
from agent.http.wanted import Wanted

#: What came meanwhile is sent together.
GATHER_S: Final = 0.1
QUIET_S: Final = 15.0
#: A client that takes nothing for so long is gone.
STUCK_S: Final = 60.0
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx passes on at once
}


async def tail(request: web.Request, tap: Tap) -> web.StreamResponse:
    """Stream until the client goes or the server ends. Raises what is to be answered instead."""
    try:
        wanted = Wanted.parse(request.query)
    except ValueError as error:
        raise refusal(web.HTTPBadRequest, str(error)) from None
    client = tap.join(wanted, request.headers.get("Last-Event-ID"))
    if client is None:
        raise refusal(
            web.HTTPServiceUnavailable, f"{MAX_CLIENTS} clients tail already: close one of their pages"
        )
    response = web.StreamResponse(headers=_HEADERS)
    try:
        await response.prepare(request)
        await _send(response, tap, client)
    except (ConnectionError, TimeoutError):
        pass  # it went, or takes nothing
    finally:
        tap.leave(client)
    return response


async def _send(response: web.StreamResponse, tap: Tap, client: Client) -> None:
    frames = Frames(tap, client, time.monotonic())
    await response.write(f"retry: 1000\nid: {tap.id_at(client.first)}\n\n".encode())
    while not client.ended:
        try:
            async with asyncio.timeout(QUIET_S):
                await client.news.wait()
        except TimeoutError:
            data = QUIET
        else:
            data = b"".join(frames.take(time.monotonic()))
        if data:
            async with asyncio.timeout(STUCK_S):
                await response.write(data)
        await asyncio.sleep(GATHER_S)
