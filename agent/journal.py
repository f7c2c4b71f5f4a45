"""The agent's own log, on stderr: one line for each event, for a person (`text`) or a program (`json`).

Every module logs to `logging.getLogger(__name__)`; the reader sees the room it is in (`engine`, `spool`).
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from typing import TextIO

import orjson

from agent.terminal import printable

MAX_CHARACTERS = 4096
_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}


class TextFormat(logging.Formatter):
    """`12:03:04 INFO  engine: connected …`, in local time; an exception with where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        message = _message(record)
        if record.exc_info and record.exc_info[1]:
            message += f" [{_brief(record.exc_info[1])}]"
        level = _LEVELS.get(record.levelname, record.levelname)
        return f"{clock} {level:5} {room(record.name)}: {printable(message)}"


class JsonFormat(logging.Formatter):
    """An object a line: time (UTC), level, part, message and, if there was one, an exception's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "part": room(record.name),
            "message": _message(record).encode(errors="backslashreplace").decode(),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return orjson.dumps(line, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str).decode()


def begin(level: str, format: str, stream: TextIO | None = None) -> None:
    """Log to `stream` (stderr) from `level` on; of others' packages only what is a warning or worse."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormat() if format == "json" else TextFormat())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("agent").setLevel(level.upper())


def room(logger: str) -> str:
    """`engine` for the logger `agent.engine.client`, `aiohttp` for `aiohttp.access`."""
    first, _, rest = logger.partition(".")
    return rest.partition(".")[0] if first == "agent" and rest else first


def _message(record: logging.LogRecord) -> str:
    """What there is to say: of a text that others made longer, the beginning."""
    text = record.getMessage()
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}… ({len(text)} characters)"


def _brief(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
