"""Where objects go in a bucket: a path with `{{…}}` in it, made of the day, the host and the container.

`{{.Date}}` (2026-11-23), `{{.Year}}` `{{.Month}}` `{{.Day}}` `{{.Hour}}`, all UTC, and `{{.Host}}`; all else is the
tag's markup. What a container says of itself becomes part of one name, as in a path of files.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

from agent.batch import NS, Container
from agent.transport.files import PathTemplate

_FIELD = re.compile(r"\{\{-?\s*\.(Date|Year|Month|Day|Hour|Host)\s*-?\}\}")
_DATES = {"Date": "%Y-%m-%d", "Year": "%Y", "Month": "%m", "Day": "%d", "Hour": "%H"}
_UNFIT = re.compile(r"[\x00-\x1f\x7f/{}]")
#: Stands for the object's own name, which needs no care.
_NAME = "x"


class KeyTemplate:
    """A parsed template, such as `docker/{{.Date}}/{{.Host}}`."""

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """Raises ValueError saying what would have been right."""
        _path(_FIELD.sub("x", text))
        return cls(text)

    def render(self, container: Container, stamp_ns: int) -> str:
        """The path for this container at this time: empty, or such as `docker/2026-11-23/node-1/`."""
        now = datetime.fromtimestamp(stamp_ns // NS, UTC)

        def value(match: re.Match[str]) -> str:
            known = _DATES.get(match[1])
            return now.strftime(known) if known else _UNFIT.sub("_", container.host)

        return _path(_FIELD.sub(value, self._text)).render(container)[1 : -len(_NAME)]


@functools.lru_cache(maxsize=64)
def _path(text: str) -> PathTemplate:
    return PathTemplate.parse(f"/{text}/{_NAME}")
