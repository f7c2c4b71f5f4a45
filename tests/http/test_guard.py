"""Who is answered, what is said to others, and what goes with every answer; asked by a real client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from agent.http.guard import HEADERS, NO_LINES
from agent.metrics import Metrics
from tests.http.fakes import FakeStatus
from tests.http.test_server import serving

TOKEN = "correct horse battery"
FACTS = ["/", "/metrics", "/api/state"]
LINES = ["/api/tail", "/api/dead-letters?sink=loki"]
HEALTH = ["/healthz", "/readyz"]
PAGE = {"Accept": "text/html,*/*;q=0.8"}


@asynccontextmanager
async def asking(
    *, host: str = "127.0.0.1", token: str | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server that listens there."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with serving(FakeStatus(), Metrics(), host=host, token=token) as server:
        base = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession(base, timeout=timeout) as session:
            yield session


async def told(session: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str]:
    """Status, and the reason of a refusal."""
    async with session.get(
        path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as answer:
        if answer.status < 400 or path == "/readyz":
            return answer.status, ""
        return answer.status, (await answer.json())["error"]


async def test_on_loopback_everything_is_answered() -> None:
    async with asking() as session:
        for path in (*HEALTH, *FACTS, *LINES):
            assert await told(session, path) == (200, ""), path


async def test_elsewhere_without_a_token_there_are_no_lines() -> None:
    """What was answered before there were lines still is."""
    async with asking(host="0.0.0.0") as session:
        for path in (*HEALTH, *FACTS):
            assert await told(session, path) == (200, ""), path
        for path in LINES:
            assert await told(session, path) == (403, NO_LINES)
        async with session.get("/api/state") as answer:
            assert (await answer.json())["tail"]["refused"] == NO_LINES


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_with_a_token_all_but_health_asks_for_it(host: str) -> None:
    """The page's own files hold no data and are there for who has yet to type it."""
    async with asking(host=host, token=TOKEN) as session:
        for path in HEALTH:
            assert await told(session, path) == (200, "")
        for path in (*FACTS, *LINES):
            assert await told(session, path) == (401, "a token is needed: Authorization: Bearer …")
            assert await told(session, path, Authorization=f"Bearer {TOKEN}") == (200, ""), path
            assert await told(session, path, Authorization=f"bearer {TOKEN}") == (200, ""), path
        async with session.get("/metrics") as answer:
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="dockferry"'
        assert (await told(session, "/", Accept=PAGE["Accept"]))[0] == 200
        assert (await told(session, "/page/main.js"))[0] == 200


@pytest.mark.parametrize(
    "given",
    [
        f"Basic {TOKEN}",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        "Bearer é",
        f"Bearer x {TOKEN}",
    ],
)
async def test_nothing_but_the_token_is_the_token(given: str) -> None:
    async with asking(token=TOKEN) as session:
        assert (await told(session, "/api/state", Authorization=given))[0] == 401


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:9469", "127.0.0.1.evil.example", "[::2]", "[", "a@b"]
)
async def test_a_web_site_s_own_name_for_loopback_is_not_answered(name: str) -> None:
    """DNS rebinding; health is asked by whatever name."""
    async with asking() as session:
        for path in (*FACTS, *LINES, "/page/main.js"):
            status, why = await told(session, path, Host=name)
            assert (status, "localhost" in why) == (403, True)
        assert await told(session, "/healthz", Host=name) == (200, "")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:9469", "localhost.", "127.0.0.1", "[::1]:9469"])
async def test_loopback_has_several_names(name: str) -> None:
    async with asking() as session:
        assert await told(session, "/api/state", Host=name) == (200, "")


async def test_whoever_has_the_token_may_use_any_name() -> None:
    """A reverse proxy passes on its own; a web site has no token to send."""
    async with asking(token=TOKEN) as session:
        headers = {"Host": "logs.example.com", "Authorization": f"Bearer {TOKEN}"}
        assert await told(session, "/api/state", **headers) == (200, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
async def test_pages_of_other_origins_are_refused(headers: dict[str, str]) -> None:
    """Also another port of this machine."""
    async with asking() as session:
        for path in ("/api/state", "/api/tail", "/metrics"):
            assert await told(session, path, **headers) == (403, "asked by a page of another origin")


async def test_a_link_to_the_page_may_be_followed() -> None:
    """From a chat, for instance; and what the page itself asks is answered."""
    async with asking() as session:
        link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", **PAGE}
        assert await told(session, "/", **link) == (200, "")
        host = str(session._base_url).removeprefix("http://").rstrip("/")
        own = {"Sec_Fetch_Site": "same-origin", "Origin": f"http://{host}", "Sec_Fetch_Mode": "cors"}
        assert await told(session, "/api/state", **own) == (200, "")


@pytest.mark.parametrize(
    "path", [*HEALTH, *FACTS, *LINES, "/page/main.js", "/page/no.js", "/page/../server.py", "/etc"]
)
async def test_every_answer_has_the_headers(path: str) -> None:
    """Refusals too: a browser may be made to show them."""
    async with asking() as session:
        for headers in ({}, {"Host": "evil.example"}, PAGE):
            async with session.get(path, headers=headers) as answer:
                assert HEADERS.items() <= dict(answer.headers).items()


async def test_the_page_is_for_browsers_and_holds_no_data() -> None:
    """Programs get JSON from the same path, as before there was a page."""
    async with asking() as session:
        async with session.get("/", headers=PAGE) as answer:
            assert answer.content_type == "text/html"
            assert "28.5.2" not in await answer.text()
        async with session.get("/", headers={"Accept": "application/json"}) as answer:
            assert (await answer.json())["agent"] == "dockferry"
