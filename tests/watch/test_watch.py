"""The terminal's view of an agent: what it asks, what it prints, and how it waits for an agent that went away."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from agent.errors import UsageError
from agent.settings import Settings
from agent.watch.remote import Place, Remote, Unanswered
from agent.watch.tail import tail
from agent.watch.top import Top, top

TOKEN = "a token of some length"
STATE: dict[str, Any] = {
    "shape": 1,
    "tick": 3,
    "agent": {"version": "1.2.3", "uptime_seconds": 61.0},
    "engine": {"connected": True, "name": "Docker Engine 28.5.2"},
    "spool": {
        "disk_bytes": 2048,
        "disk_max_bytes": 1 << 30,
        "memory_bytes": 1,
        "memory_max_bytes": 1 << 26,
        "degraded": None,
    },
    "containers": [
        {
            "name": name,
            "image": "nginx:1.27",
            "service": "web",
            "mode": "logs",
            "records_per_second": rate,
            "bytes_per_second": 4096.0,
            "last_record_seconds_ago": ago,
        }
        for name, rate, ago in (("quiet", 0.0, 65.0), ("busy\x1b[2J", 12.5, 0.1), ("new", 0.0, None))
    ],
    "sinks": [
        {
            "name": "loki",
            "state": "retrying",
            "records_per_second": 0.0,
            "bytes_per_second": 0.0,
            "waiting_records": 1204,
            "lag_seconds": 12.34,
            "refused_records": 7,
            "last_error": "connection refused",
        }
    ],
    "losses": [],
    "tail": {"refused": None, "clients": 0},
}


def event(number: int, **data: Any) -> bytes:  # noqa: ANN401 - as the API has it
    lines = {
        "container": "web",
        "id": "ab" * 6,
        "project": None,
        "service": None,
        "stream": "stdout",
        "skipped": 0,
        "times_us": [1795449226489633],
        "levels": None,
        "fields": None,
        "lines": ["hello"],
        "cut": {},
    } | data
    return b"id: e.%d\nevent: lines\ndata: %b\n\n" % (number, orjson.dumps(lines))


class Agent:
    """An agent's HTTP interface, as far as these commands ask it: each `tail` is answered by the next script."""

    def __init__(self, *scripts: bytes) -> None:
        self.scripts = list(scripts)
        self.asked: list[tuple[dict[str, str], str]] = []
        self.state: dict[str, Any] = STATE
        self.server = TestServer(self._app())

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._only_with_token])
        app.router.add_get("/api/state", self._state)
        app.router.add_get("/api/tail", self._tail)
        return app

    @web.middleware
    async def _only_with_token(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "a token is needed"}, status=401)
        return await handler(request)

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(self.state)

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((dict(request.query), request.headers.get("Last-Event-ID", "")))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if not self.scripts:
            await asyncio.sleep(3600)
        await response.write(self.scripts.pop(0))
        return response


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    await agent.server.start_server()
    yield agent
    await agent.server.close()


@pytest.fixture
def place(agent: Agent, tmp_path: Path) -> Place:
    (tmp_path / "token").write_text(TOKEN + "\n")
    return Place.of(Settings.load({}), str(agent.server.make_url("/")), str(tmp_path / "token"))


async def tailed(
    place: Place, wanted: int, *, colour: bool = False, as_json: bool = False
) -> tuple[list[str], list[str]]:
    """The first so many lines and notes together."""
    said: list[str] = []
    told: list[str] = []
    enough = asyncio.Event()

    def keep(kept: list[str]) -> Callable[[str], None]:
        def add(text: str) -> None:
            kept.append(text)
            if len(said) + len(told) >= wanted:
                enough.set()

        return add

    async with asyncio.timeout(30), Remote(place) as remote, asyncio.TaskGroup() as group:
        query = {"select": "web", "q": "x"}
        task = group.create_task(tail(remote, query, keep(said), keep(told), colour=colour, as_json=as_json))
        await enough.wait()
        task.cancel()
    return said, told


async def test_lines_are_shown_with_time_container_and_level(agent: Agent, place: Place) -> None:
    """As one reads them; the query goes to the agent."""
    times = [1795449226489633, 1795449227000000]
    agent.scripts.append(event(1, times_us=times, lines=["one", "two"], levels=["error", None]))
    said, _ = await tailed(place, 2)
    assert said == ["15:53:46.489 web error one", "15:53:47.000 web two"]
    assert agent.asked[0] == ({"select": "web", "q": "x"}, "")


async def test_nothing_a_container_prints_acts_on_the_terminal(agent: Agent, place: Place) -> None:
    """Its colours stay where there are colours; titles, clearing, carriage returns are shown as what they are."""
    lines = ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b[2Jgone\rback", "abc\u202edef"]
    agent.scripts += [event(1, times_us=[0] * 4, lines=lines, container="w\x1b[2Jeb")] * 2
    plain, _ = await tailed(place, 4)
    assert [line.split(" ", 2)[2] for line in plain[:4]] == [
        "red",
        r"\x1b]0;title\x07",
        r"\x1b[2Jgone\rback",
        r"abc\u202edef",
    ]
    assert r"w\x1b[2Jeb" in plain[0]
    coloured, _ = await tailed(place, 4, colour=True)
    assert "\x1b[31mred\x1b[0m" in coloured[0]
    assert "\x1b[2J" not in "".join(coloured)
    assert "\x1b]" not in "".join(coloured)


async def test_as_json_each_line_is_an_object(agent: Agent, place: Place) -> None:
    """What is absent is left out."""
    agent.scripts.append(event(1, levels=["info"], fields=[{"a": 1}], project="shop"))
    [line], _ = await tailed(place, 1, as_json=True)
    assert orjson.loads(line) == {
        "timestamp": "2026-11-23T15:53:46.489633Z",
        "stream": "stdout",
        "message": "hello",
        "level": "info",
        "fields": {"a": 1},
        "container": {"name": "web", "id": "ab" * 6, "project": "shop"},
    }


async def test_what_was_skipped_is_said(agent: Agent, place: Place) -> None:
    """On the other output: before a container's lines, or by itself."""
    skipped = b'event: skipped\ndata: {"lines": %b}\n\n'
    agent.scripts.append(event(1, skipped=1204) + b": quiet\n\n" + skipped % b"5" + skipped % b"null")
    said, told = await tailed(place, 4)
    assert len(said) == 1
    assert told[:3] == [
        "1,204 lines of web skipped: more come than are sent",
        "5 lines skipped",
        "an unknown number of lines skipped",
    ]


async def test_after_a_break_it_goes_on_where_it_was(agent: Agent, place: Place) -> None:
    """With the last event's id; the break is told."""
    agent.scripts += [event(7), event(8, lines=["again"])]
    said, told = await tailed(place, 3)
    assert [line.rpartition(" ")[2] for line in said] == ["hello", "again"]
    assert told[0] == "the agent ends; waiting for it"
    assert [last for _, last in agent.asked[:2]] == ["", "e.7"]


async def test_a_refusal_is_told_with_the_agent_s_own_words(agent: Agent) -> None:
    """And is no reason to try again."""
    without = Place.of(Settings.load({}), str(agent.server.make_url("/")), None)
    async with Remote(without) as remote:
        with pytest.raises(UsageError, match="answers 401: a token is needed"):
            await remote.state()
        with pytest.raises(UsageError, match="answers 401: a token is needed"):
            await tail(remote, {}, print, print, colour=False, as_json=False)


async def test_no_agent_is_told_at_once(unused_tcp_port: int) -> None:
    """Only one that answered once is waited for."""
    async with Remote(Place.of(Settings.load({}), f"http://127.0.0.1:{unused_tcp_port}", None)) as remote:
        for asked in (tail(remote, {}, print, print, colour=False, as_json=False), top(remote, once=True)):
            with pytest.raises(Unanswered, match=f"no agent answers at http://127.0.0.1:{unused_tcp_port}: "):
                await asked


async def test_what_is_no_agent_is_told(agent: Agent, place: Place) -> None:
    """Another server at that address."""
    agent.scripts.append(event(1, times_us="what"))
    with pytest.raises(UsageError, match="tail is not understood"):
        async with Remote(place) as remote:
            await tail(remote, {}, print, print, colour=False, as_json=False)


def test_the_agent_here_is_found_by_its_settings(tmp_path: Path) -> None:
    """Address and token; one that listens everywhere is asked here."""
    environ = {"DOCKFERRY_HTTP": ":9470", "DOCKFERRY_HTTP_TOKEN": TOKEN}
    place = Place.of(Settings.load(environ), None, None)
    assert str(place.url) == "http://127.0.0.1:9470/"
    assert place.token is not None
    with pytest.raises(UsageError, match="DOCKFERRY_HTTP is off"):
        Place.of(Settings.load({"DOCKFERRY_HTTP": "off"}), None, None)
    for wrong in ("node-1:9469", "ftp://node-1", "http://"):
        with pytest.raises(UsageError, match="a URL such as http://node-1:9469"):
            Place.of(Settings.load({}), wrong, None)
    with pytest.raises(UsageError, match="--token-file: cannot read"):
        Place.of(Settings.load({}), None, str(tmp_path / "none"))


def printed(shown: Top, *, width: int = 160, height: int = 1000) -> str:
    out = io.StringIO()
    Console(width=width, file=out).print(shown.render(height))
    return out.getvalue()


def test_top_shows_how_all_fare() -> None:
    """The busiest container first; what is no number is left out; no control character."""
    shown = Top("http://node-1:9469")
    shown.see(STATE)
    text = printed(shown)
    assert "dockferry 1.2.3 at http://node-1:9469, up 61s" in text
    assert "disk 2 KiB of 1.0 GiB" in text
    assert "Nothing was lost." in text
    lines = text.splitlines()
    busy, new, quiet = (
        next(line for line in lines if line.startswith(name)) for name in ("busy", "new", "quiet")
    )
    assert lines.index(busy) < lines.index(new) < lines.index(quiet)
    assert busy.split()[:5] == [r"busy\x1b[2J", "12", "4", "KiB", "now"]
    assert "65s ago" in quiet
    sink = next(line for line in lines if line.startswith("loki"))
    assert sink.split()[1:7] == ["retrying", "0.0", "0", "B", "1,204", "12.3"]
    assert "connection refused" in sink


def test_top_shows_losses_and_a_lost_agent() -> None:
    """Cause and place; what was seen last stays."""
    shown = Top("x")
    where = [{"container": "web", "sink": "loki", "records": 12}]
    shown.see(
        STATE
        | {
            "losses": [
                {"cause": "spool_full", "meaning": "the spool was full", "records": 12, "where": where}
            ]
        }
    )
    shown.miss("no agent answers")
    text = printed(shown)
    assert "Nothing was lost." not in text
    assert "12  the spool was full" in text
    assert "web for loki" in text
    assert "no agent answers" in text


def test_top_fits_the_terminal() -> None:
    """The busiest, and how many there are besides."""
    shown = Top("x")
    many = [STATE["containers"][0] | {"name": f"c{number:03}"} for number in range(200)]
    shown.see(STATE | {"containers": many})
    text = printed(shown, width=80, height=30)
    assert len(text.splitlines()) <= 30
    assert " more" in text


async def test_top_once_prints_and_ends(
    agent: Agent, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no terminal, always."""
    async with Remote(place) as remote:
        await top(remote, once=False)
    assert "Nothing was lost." in capsys.readouterr().out
