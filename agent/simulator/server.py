"""The HTTP face of the simulated Engine: which request is answered how, and with which of moby's refusals.

Place: between aiohttp and the Engine's state; streams are handed to `streams`.
Source: moby daemon/server/router and middleware; texts of errors as Engine 20.10.24 answers them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from agent.simulator import documents, resources
from agent.simulator.containers import Container, State
from agent.simulator.copier import STDERR, STDOUT
from agent.simulator.events import Filters, has_label, parse_filters
from agent.simulator.log import Window
from agent.simulator.streams import AttachRequest, HijackedResponse, LogRequest, attach, send_events, send_log
from agent.simulator.wire import LogFormat, details_of, parse_time

if TYPE_CHECKING:
    from agent.simulator.engine import SimulatedEngine
    from agent.simulator.faults import Route

MULTIPLEXED: Final = "application/vnd.docker.multiplexed-stream"
RAW: Final = "application/vnd.docker.raw-stream"
#: Between the two looks that `stats` takes without `one-shot`: moby takes one a second.
SECOND_LOOK_S: Final = 1.0
Handler = Callable[["Call"], Awaitable[web.StreamResponse]]
_LIST_FILTERS: Final = frozenset({"id", "label", "name", "status"})
_STATUSES: Final = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


class RefusedError(Exception):
    """A request that the Engine answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Call:
    """One request: its API version, and the container that it names."""

    def __init__(self, engine: SimulatedEngine, request: web.Request) -> None:
        self.engine = engine
        self.request = request
        self.version = _number(request.match_info.get("version", engine.description.api_version))

    def flag(self, name: str) -> bool:
        """Return a boolean of the query, read as moby does."""
        return self.request.query.get(name, "").strip().lower() not in {"", "0", "no", "false", "none"}

    @property
    def container(self) -> Container:
        """The container in the path. RefusedError (404, or 400 for a prefix of several) if there is none."""
        return self.engine.find(self.request.match_info["id"])

    @property
    def streams(self) -> frozenset[int]:
        """The streams that the query chooses."""
        return frozenset(n for n, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if self.flag(name))


def application(engine: SimulatedEngine) -> web.Application:
    """Build the routes, each with and without a version in front."""
    app = web.Application(middlewares=[_errors(engine)])
    app.on_response_prepare.append(_headers(engine))
    routes: list[tuple[str, str, Route, Handler]] = [
        ("GET", "/_ping", "ping", _ping),
        ("HEAD", "/_ping", "ping", _ping),
        ("GET", "/version", "version", _version),
        ("GET", "/info", "info", _info),
        ("GET", "/events", "events", _events),
        ("GET", "/containers/json", "list", _list),
        ("GET", "/containers/{id}/json", "inspect", _inspect),
        ("GET", "/containers/{id}/logs", "logs", _logs),
        ("GET", "/containers/{id}/stats", "stats", _stats),
        ("POST", "/containers/{id}/attach", "attach", _attach),
    ]
    for method, path, route, handler in routes:
        for prefix in ("", r"/v{version:[0-9][0-9.]*}"):
            app.router.add_route(method, prefix + path, _faulty(engine, route, handler))
    return app


def _faulty(
    engine: SimulatedEngine, route: Route, handler: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        _check_version(engine, request)
        named = request.match_info.get("id")
        container = engine.get(named) if named else None
        await asyncio.sleep(engine.faults.take_delay(route, container))
        refusal = engine.faults.take_refusal(route, container, request.method)
        if refusal is not None:
            raise RefusedError(refusal.status, refusal.message)
        return await handler(Call(engine, request))

    return handle


def _errors(engine: SimulatedEngine) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def answer_errors(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        engine.note(request.method, request.path, dict(request.query))
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            return _error(request, 404, "page not found")
        except RefusedError as refused:
            return _error(request, refused.status, refused.message)

    return answer_errors


def _headers(engine: SimulatedEngine) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        description = engine.description
        response.headers["Api-Version"] = description.api_version
        response.headers["Docker-Experimental"] = "false"
        response.headers["Ostype"] = "linux"
        response.headers["Server"] = f"Docker/{description.engine_version} (linux)"
        if response.headers.get("Content-Type") == "application/octet-stream":
            del response.headers["Content-Type"]  # aiohttp's own idea: moby leaves it out

    return add


def _error(request: web.Request, status: int, message: str) -> web.Response:
    version = request.match_info.get("version")
    if version is not None and _number(version) <= (1, 23):
        return web.Response(status=status, text=message + "\n")
    return _json({"message": message}, status)


def _check_version(engine: SimulatedEngine, request: web.Request) -> None:
    asked = request.match_info.get("version")
    if asked is None:
        return
    oldest, newest = engine.description.minimum_api_version, engine.description.api_version
    if _number(asked) < _number(oldest):
        raise RefusedError(
            400,
            f"client version {asked} is too old. Minimum supported API version is {oldest}, "
            "please upgrade your client to a newer version",
        )
    if _number(asked) > _number(newest):
        raise RefusedError(
            400, f"client version {asked} is too new. Maximum supported API version is {newest}"
        )


async def _ping(call: Call) -> web.StreamResponse:
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
    return web.Response(text="OK" if call.request.method == "GET" else "", headers=headers)


async def _version(call: Call) -> web.StreamResponse:
    return _json(documents.version(call.engine.description))


async def _info(call: Call) -> web.StreamResponse:
    engine = call.engine
    return _json(documents.info(engine.description, engine.containers, engine.now()))


async def _inspect(call: Call) -> web.StreamResponse:
    return _json(documents.inspect(call.container))


async def _list(call: Call) -> web.StreamResponse:
    filters = _filters(call)
    for name in filters.keys() - _LIST_FILTERS:
        raise RefusedError(400, f"invalid filter '{name}'")
    statuses = filters.get("status", frozenset())
    for status in statuses.difference(_STATUSES):
        raise RefusedError(
            400,
            f"invalid filter 'status={status}': invalid value for state ({status}): "
            f"must be one of {', '.join(_STATUSES)}",
        )

    def wanted(container: Container) -> bool:
        listed = container.state.value in statuses if statuses else call.flag("all") or container.listed
        return (
            listed
            and all(has_label(container.spec.labels, label) for label in filters.get("label", ()))
            and any(container.id.startswith(prefix) for prefix in filters.get("id", [""]))
            and any(re.search(pattern, container.name) for pattern in filters.get("name", [""]))
        )

    now = call.engine.now()
    newest_first = reversed(call.engine.containers)
    return _json([documents.summary(container, now) for container in newest_first if wanted(container)])


async def _events(call: Call) -> web.StreamResponse:
    query = call.request.query
    times = [_time(query[name]) if query.get(name) else None for name in ("since", "until")]
    old_fields = call.version < (1, 52)
    return await send_events(call.engine, call.request, _filters(call), *times, old_fields=old_fields)


async def _logs(call: Call) -> web.StreamResponse:
    container, spec = call.container, call.container.spec
    if not call.streams:
        raise RefusedError(400, "Bad parameters: you must choose at least one stream")
    if container.state is State.REMOVING:
        raise RefusedError(409, "can not get logs from container which is dead or marked for removal")
    if spec.driver == "none":
        raise RefusedError(501, "configured logging driver does not support reading")
    attributes = documents.log_attributes(spec.labels, spec.env, spec.log_options)
    details = details_of(attributes) if call.flag("details") else b""
    form = LogFormat(call.streams, spec.tty, timestamps=call.flag("timestamps"), details=details)
    follow = call.flag("follow") and container.running
    request = LogRequest(container, _window(call), form, follow, _log_content_type(call))
    return await send_log(call.engine, call.request, request)


def _window(call: Call) -> Window:
    query = call.request.query
    since, until = (_time(query.get(name, "0")) for name in ("since", "until"))
    try:
        tail = int(query.get("tail", "all"))
    except ValueError:
        tail = -1
    return Window(since, until, tail, since_tests_every_record=call.engine.release < 24)


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise RefusedError(500, f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def _filters(call: Call) -> Filters:
    try:
        return parse_filters(call.request.query.get("filters", ""))
    except ValueError as error:
        raise RefusedError(400, "invalid filter") from error


def _log_content_type(call: Call) -> str | None:
    if call.version >= (1, 42) and not call.container.spec.tty:
        return MULTIPLEXED
    return RAW if call.engine.description.release >= 23 else None


async def _stats(call: Call) -> web.StreamResponse:
    container = call.container
    if call.request.query.get("stream", "1") not in {"0", "false"}:
        raise RefusedError(501, "the simulated Engine does not stream stats")
    if call.flag("one-shot") and call.version >= (1, 41):
        return _json(resources.stats(container, call.engine.now(), before=None))
    before = call.engine.now()
    await asyncio.sleep(SECOND_LOOK_S)
    return _json(resources.stats(container, call.engine.now(), before=before))


async def _attach(call: Call) -> web.StreamResponse:
    try:
        container = call.container
        if container.state is State.PAUSED:
            raise RefusedError(
                409, f"container {container.name} is paused, unpause the container before attach"
            )
        if container.state is State.RESTARTING:
            raise RefusedError(
                409, f"container {container.name} is restarting, wait until the container is running"
            )
    except RefusedError as refused:
        return _refuse_on_the_bare_connection(call.request, refused)
    upgraded = None
    if "Upgrade" in call.request.headers:
        multiplexed = call.version >= (1, 42) and not container.spec.tty
        upgraded = (MULTIPLEXED if multiplexed else RAW).encode()
    wanted = AttachRequest(container, call.streams, call.flag("logs"), call.flag("stream"), upgraded)
    return await attach(call.engine, call.request, wanted)


def _refuse_on_the_bare_connection(request: web.Request, refused: RefusedError) -> web.StreamResponse:
    """Answer as moby's attach does: it has taken over the connection before it looks at the container."""
    reasons = {400: "Bad Request", 404: "Not Found", 409: "Conflict"}
    assert request.transport is not None  # noqa: S101 - aiohttp calls handlers of open connections only
    head = f"HTTP/1.1 {refused.status} {reasons[refused.status]}\r\nContent-Type: {RAW}\r\n\r\n"
    request.transport.write(f"{head}{refused.message}\r\n".encode())
    return HijackedResponse()


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
