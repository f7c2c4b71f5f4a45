"""A sink's URL, taken apart: `scheme[+transport]://[user:password@]host[:port][,host…]/path?option=value`.

Close to RFC 3986, but made for what people type here: a path may hold `{{.Name}}` and blanks, `#` begins no
fragment, and `+` is no blank. A complaint never quotes what may be part of a password.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from agent.errors import SettingsError
from agent.options import Kind

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_OPTION = re.compile(r"[a-z][a-z0-9_]*")
HIDDEN = "***"


def _endpoint(text: str) -> str:
    scheme, found, rest = text.strip().rstrip("/").partition("://")
    if scheme not in {"http", "https"} or not found or not rest or set(rest) & set("@?# "):
        raise ValueError("a URL such as https://host:port")
    return f"{scheme}://{rest}"


#: Where a cloud's service is, if not where it always is. It holds no secret.
ENDPOINT: Kind[str] = Kind("URL", _endpoint)


@dataclass(frozen=True, slots=True)
class SinkUrl:
    """The parts, percent-escapes decoded. `scheme` includes the transport: `loki+https`.

    more  further hosts after the first, each with its port
    """

    scheme: str
    host: str
    port: int | None
    path: str
    more: tuple[tuple[str, int | None], ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_url(url: str) -> SinkUrl:
    """Take `url` apart. Raises SettingsError, without any part of a password in it."""
    scheme, authority, path, query = _split(url)
    userinfo, _, address = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    (host, port), *more = map(_host_and_port, address.split(","))
    if more and not all([host, *(name for name, _ in more)]):
        raise SettingsError(["of a list of hosts, one is empty"])
    return SinkUrl(
        scheme=scheme,
        host=host,
        port=port,
        path=unquote(path),
        more=tuple(more),
        user=unquote(user) or None,
        password=unquote(password) if colon else None,
        query=_options(query),
    )


def scheme_of(url: str) -> str:
    """What stands before the first colon, in lower case. Raises SettingsError."""
    return _split(url)[0]


def redact(url: str, plain: Collection[str]) -> str:
    """`url` with its password, and every option but the `plain` ones, as `***`. Never fails."""
    url = url.strip()
    try:
        scheme, authority, path, query = _split(url)
        parse_url(url)
    except SettingsError:
        return f"{url.partition(':')[0]}:{HIDDEN}" if _SCHEME.match(url) else HIDDEN
    userinfo, at, address = authority.rpartition("@")
    if "@" in path:  # most likely a password with a bare slash in it
        return f"{scheme}://{HIDDEN}"
    user, colon, _ = userinfo.partition(":")
    shown = f"{scheme}:" + ("//" if url[len(scheme) :].startswith("://") else "")
    shown += (f"{user}:{HIDDEN}" if colon else HIDDEN) + at if at else ""  # a lone user is often a token
    shown += address + path
    options = [part.partition("=") for part in query.split("&") if part]
    hidden = (f"{name}={text if name in plain else HIDDEN}" for name, _, text in options)
    return shown + ("?" + "&".join(hidden) if options else "")


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query, as typed."""
    match = _SCHEME.match(url.strip())
    if match is None:
        raise SettingsError(["this is no URL such as console: or https://host/path"])
    rest = url.strip()[match.end() :]
    rest, _, query = rest.partition("?")
    authority, path = "", rest
    if match[2]:
        authority, slash, path = rest.partition("/")
        path = slash + path
    return match[1].lower(), authority, path, query


def _host_and_port(address: str) -> tuple[str, int | None]:
    if address.startswith("["):  # IPv6
        host, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise SettingsError(["an IPv6 address is written [::1] or [::1]:port"])
        return host, _port(rest[1:])
    host, _, port = address.partition(":")
    return unquote(host), _port(port)


def _port(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise SettingsError(
            ["the port is no number from 1 to 65535 (in a password, write / as %2F and ? as %3F)"]
        )
    return int(text)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    problems = []
    for place, part in enumerate(query.split("&") if query else (), 1):
        name, equals, value = part.partition("=")
        if not equals or not _OPTION.fullmatch(name):
            problems.append(
                f"option {place} is not name=value (write & in a value as %26, ? in a password as %3F)"
            )
        elif name in options:
            problems.append(f"option {name!r} is there twice")
        else:
            options[name] = unquote(value)
    if problems:
        raise SettingsError(problems)
    return options
