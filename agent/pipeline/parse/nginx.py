"""nginx: its access log (see `access`), and its error log, which a container writes beside it.

Source: nginx's src/core/ngx_log.c and src/http/ngx_http_request.c, `ngx_http_log_error_handler`: what is known
of the connection stands behind the message as `, name: value`.
"""

from __future__ import annotations

import re

from agent.pipeline.parse import access
from agent.pipeline.parse.parsed import Object

_ERROR = re.compile(
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[([a-z]{1,8})\] (\d{1,9})#(\d{1,9}): (?:\*(\d{1,18}) )?+(.*+)",
    re.DOTALL,
)
_CONTEXT = re.compile(
    r', (client|server|request|subrequest|upstream|host|referrer|login|bytes from/to client): ("[^"]*+"|[^,]*+)'
)


def read(line: bytes) -> Object | None:
    """The parts of a request, or of an error."""
    text = line.decode(errors="replace")
    match = _ERROR.fullmatch(text)
    if match is None:
        return access.read_text(text)
    time, level, pid, tid, connection, said = match.groups()
    made: Object = {"time": time, "level": level, "pid": int(pid), "tid": int(tid)}
    if connection is not None:
        made["connection"] = int(connection)
    begin = said.find(", client: ")
    if begin >= 0:
        known = ((name, value.strip('"')) for name, value in _CONTEXT.findall(said, begin))
        made.update((name, value) for name, value in known if value)
        said = said[:begin]
    made["message"] = said
    return made
