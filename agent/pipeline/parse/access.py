r"""Access logs: the Common and the Combined Log Format, as Apache, nginx and many others write them.

Source: httpd.apache.org/docs/2.4/logs.html, nginx.org/en/docs/http/ngx_http_log_module.html. Before it may
stand Apache's `%v:%p`; behind it the forwarded-for of nginx's image, and whatever else. `-` is left out.
Escapes such as `\x22` stay as they are written.
"""

from __future__ import annotations

import re

from agent.pipeline.parse.parsed import Object

_QUOTED = r'"((?:[^"\\]++|\\.)*+)"'
_LINE = re.compile(
    r"(?:(\S{1,256}:\d{1,5}) )?(\S++) (\S++) ([^\[\]]{1,256}?) \[([^\]]{1,64}+)\] "
    rf'(?:"([A-Z][A-Za-z_-]{{0,30}}) ([^\s"\\]++)(?: (HTTP/[0-9.]{{1,5}}))?+"|{_QUOTED}) '
    rf"(\d{{3}}) (\d{{1,18}}|-)(?: {_QUOTED} {_QUOTED}(?: {_QUOTED})?+)?+(?: (.++))?+\s*+",
    re.DOTALL,
)
_NAMES = (
    "virtual_host",
    "client",
    "ident",
    "user",
    "time",
    "method",
    "target",
    "protocol",
    "request",
    "status",
    "bytes",
    "referer",
    "user_agent",
    "forwarded_for",
    "rest",
)
_NUMBERS = ("status", "bytes")


def read(line: bytes) -> Object | None:
    """The parts of one request."""
    return read_text(line.decode(errors="replace"))


def read_text(line: str) -> Object | None:
    """The parts of one request."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    made: Object = {
        name: value
        for name, value in zip(_NAMES, match.groups(), strict=True)
        if value is not None and value != "-"
    }
    for name in _NUMBERS:
        if name in made:
            made[name] = int(made[name])
    return made
