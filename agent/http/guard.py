"""Who may ask what: the token, the names the agent answers to, other origins; and the headers of every answer.

Log lines may hold secrets. They are shown to who has the token, and without one on loopback only; there, the name
that was asked for is looked at, since a web site may point a name of its own at 127.0.0.1 (DNS rebinding). The
headers keep a page that shows strangers' text from doing anything with it.
Source: the Fetch standard (Origin, Cross-Origin-Resource-Policy), Fetch Metadata, CSP Level 3.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from agent.options import Secret

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refusal = TypeVar("Refusal", bound=web.HTTPError)

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: What Docker, Kubernetes and others ask by whatever name.
_FOR_ALL: Final = frozenset({"/healthz", "/readyz"})
_LINES: Final = frozenset({"/api/tail", "/api/dead-letters"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_OURS: Final = frozenset({"same-origin", "none"})

NO_LINES: Final = "without a token log lines are shown on loopback only: set DOCKFERRY_HTTP_TOKEN_FILE"


class Guard:
    """Lets pass, or raises the refusal.

    host      where the agent was told to listen
    loopback  whether that is loopback; set when it is known
    shell     the paths of the page itself, which holds no data: it asks for the token
    """

    def __init__(self, host: str, token: Secret | None, shell: frozenset[str]) -> None:
        self.loopback = False
        self._names = _LOOPBACK | {host.lower()}
        self._token = None if token is None else token.reveal().encode()
        self._shell = shell

    @property
    def no_lines(self) -> str | None:
        """Why log lines are not shown to anybody; None: they are."""
        return None if self.loopback or self._token is not None else NO_LINES

    def check(self, request: web.Request) -> None:
        """Raises the refusal of a request that is not allowed."""
        if request.path in _FOR_ALL:
            return
        self._check_name(request)
        _check_origin(request)
        if self._token is not None and not self._is_shell(request):
            self._check_token(request, self._token)
        if request.path in _LINES and self.no_lines is not None:
            raise refusal(web.HTTPForbidden, self.no_lines)

    def _is_shell(self, request: web.Request) -> bool:
        return request.path in self._shell or (request.path == "/" and wants_page(request))

    def _check_name(self, request: web.Request) -> None:
        if self._token is None and self.loopback:
            name = _name_of(request)
            if name not in self._names:
                raise refusal(
                    web.HTTPForbidden,
                    f"this agent is not known as {name!r}: ask for localhost, or give it a token with "
                    "DOCKFERRY_HTTP_TOKEN_FILE",
                )

    def _check_token(self, request: web.Request, token: bytes) -> None:
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(errors="replace"), token)
        if scheme.lower() != "bearer" or not same:
            why = "a wrong token" if given else "a token is needed: Authorization: Bearer …"
            error = refusal(web.HTTPUnauthorized, why)
            error.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="dockferry"'
            raise error


def _check_origin(request: web.Request) -> None:
    """A browser says where a request comes from. A link from elsewhere may be followed; nothing else."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/"
    origin = request.headers.get(hdrs.ORIGIN)
    if (site not in _OURS and not link) or (origin is not None and urlsplit(origin).netloc != request.host):
        raise refusal(web.HTTPForbidden, "asked by a page of another origin")


def _name_of(request: web.Request) -> str:
    try:
        return (urlsplit(f"//{request.host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def wants_page(request: web.Request) -> bool:
    """Whether a browser asks, rather than a program."""
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


def refusal(kind: type[Refusal], why: str) -> Refusal:
    """An error to raise, its reason as JSON."""
    return kind(text=orjson.dumps({"error": why}).decode() + "\n", content_type="application/json")


def middleware(guard: Guard) -> Middleware:
    """Every request is checked first."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check(request)
        return await handler(request)

    return checked


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Every answer has the headers, refusals and streams too (`Application.on_response_prepare`)."""
    response.headers.update(HEADERS)
