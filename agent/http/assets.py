"""The page's files, as they are served: read once, from the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "/page/"
INDEX: Final = f"{PREFIX}index.html"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    body: bytes
    content_type: str


#: By path.
ASSETS: Final = {
    PREFIX + path.name: Asset(path.read_bytes(), _TYPES[path.suffix])
    for path in sorted((Path(__file__).parent / "page").iterdir())
    if path.suffix in _TYPES
}
