"""What was set, in variables, files and on the command line, as texts: before `Settings` makes values of it.

Each variable may carry the suffix `_FILE`: its value is then read from that file (Docker's secrets). An empty
variable counts as unset, as Compose makes one of `${NOT_SET}`; an empty file is a fault.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.compat import LOGSPOUT, Peers
from agent.compat.logspout import ROUTE_URIS, Logspout, uris_of
from agent.compat.route import is_route
from agent.options import KiB, show_size, unknown

PREFIX = "DOCKFERRY_"
SINK_PREFIX = "DOCKFERRY_SINK_"
FILE_SUFFIX = "_FILE"
MAX_VALUE_BYTES = 64 * KiB
_SINK_NAME = re.compile(r"[a-z0-9_-]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class _FileText(str):
    """A value that came from a file. Of the wrong file it may be a secret: no complaint quotes it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "the file's text"


@dataclass(slots=True)
class Given:
    """Texts by option name, sink URLs by name, where each came from, and what is wrong with the variables.

    logspout  what came of another program's variables, if there were any
    routes    by sink, the URI it was made of, without a secret
    """

    texts: dict[str, str] = field(default_factory=dict)
    sinks: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    logspout: Logspout = field(default_factory=Logspout)
    routes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environ: Mapping[str, str], options: Collection[str]) -> Given:
        """What `environ` says of these options and of sinks."""
        given = cls()
        known = [f"{PREFIX}{name.upper()}" for name in options]
        given.origins.update(dict.fromkeys(known, "default"))
        for variable, value in sorted(environ.items()):
            if not variable.startswith(PREFIX) or not value:
                continue
            plain = _plain(variable)
            if plain != variable and environ.get(plain):
                given.problems.append(f"{plain} and {variable} are both set: unset one of them")
            elif plain.startswith(SINK_PREFIX):
                given._add_sink(plain, variable, value)
            elif plain in known:
                given._add(plain, variable, value)
            else:
                given.problems.append(_unknown(plain, variable, known))
        return given

    def variable(self, option: str) -> str:
        """The variable that set, or would set, that option."""
        if self.texts.get(option) == self.logspout.texts.get(option, ""):
            return self.logspout.origins[option]
        plain = f"{PREFIX}{option.upper()}"
        return plain + FILE_SUFFIX if isinstance(self.texts.get(option), _FileText) else plain

    def add_logspout(self, environ: Mapping[str, str], urls: Sequence[str]) -> list[str]:
        """What was set for Logspout, if something was; the rest of the `urls` is not for it.

        Our own variables come first, but for DOCKFERRY_EXCLUDE: both are left out.
        """
        uris = uris_of(environ.get(ROUTE_URIS, ""))
        if not uris and not self._understands_logspout():
            return list(urls)
        arguments = [uri for url in urls if is_route(url) for uri in uris_of(url)]
        self.logspout = found = Logspout.read(environ, uris, arguments)
        self.problems += found.problems
        for place, route in enumerate(found.routes):
            origin = ROUTE_URIS if place < len(uris) else "command line"
            self.routes[self._add_url(route.url, origin)] = route.shown
        if own := self.texts.pop("exclude", None):
            found.set("exclude", f"{own},{found.texts['exclude']}", found.origins["exclude"])
        if not self._understands_logspout():
            found.set("compat", f"{self.texts.pop('compat', '')},{LOGSPOUT}", ROUTE_URIS)
        for option in found.texts.keys() - self.texts.keys():
            self.texts[option] = found.texts[option]
            self.origins[f"{PREFIX}{option.upper()}"] = found.origins[option]
        return [url for url in urls if not is_route(url)]

    def _understands_logspout(self) -> bool:
        try:
            return LOGSPOUT in Peers.parse(self.texts.get("compat", "")).names
        except ValueError:
            return False

    def add_urls(self, urls: Sequence[str]) -> None:
        """Sinks of the command line, named after their schemes: tcp, tcp2, …; for want of any, `console:`."""
        for url in urls:
            self._add_url(url, "command line")
        if not self.sinks and not self.problems:
            self._add_url("console:", "default")

    def _add_url(self, url: str, origin: str) -> str:
        name = self._free_name(url)
        self.sinks[name] = url
        self.origins[f"{SINK_PREFIX}{name.upper()}"] = origin
        return name

    def _free_name(self, url: str) -> str:
        scheme = re.split(r"[+:]", url.lower(), maxsplit=1)[0]
        stem = scheme if _SINK_NAME.fullmatch(scheme) else "sink"
        names = itertools.chain([stem], (f"{stem}{number}" for number in itertools.count(2)))
        return next(name for name in names if name not in self.sinks)

    def _add(self, plain: str, variable: str, value: str) -> None:
        text = self._text(plain, variable, value)
        if text is not None:
            self.texts[plain.removeprefix(PREFIX).lower()] = text

    def _add_sink(self, plain: str, variable: str, value: str) -> None:
        name = plain.removeprefix(SINK_PREFIX).lower()
        if not _SINK_NAME.fullmatch(name):
            self.problems.append(f"{variable}: a sink's name is made of letters, digits, _ and -")
        elif name in self.sinks:
            self.problems.append(
                f"{variable}: there is a sink {name!r} already, and case makes no difference"
            )
        elif variable != plain and _URL.match(value):  # it may hold a password: not quoted
            self.problems.append(
                f"{variable} is to name a file that holds the URL, not the URL; no sink's name ends in _file"
            )
        else:
            text = self._text(plain, variable, value)
            if text is not None:
                self.sinks[name] = str(text)

    def _text(self, plain: str, variable: str, value: str) -> str | None:
        if not _is_text(value):
            self.problems.append(f"{variable} is not UTF-8")
            return None
        if variable == plain:
            self.origins[plain] = "environment"
            return value
        self.origins[plain] = f"file {value}"
        try:
            return _FileText(read_value(Path(value)))
        except ValueError as error:
            self.problems.append(f"{variable}: {error}")
            return None


def read_value(path: Path) -> str:
    """The text of a file that holds one value, without the newline at its end.

    Raises ValueError saying why not: unreadable, not UTF-8, empty, or more than 64 KiB.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_VALUE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_VALUE_BYTES:
        raise ValueError(f"{path} holds more than {show_size(MAX_VALUE_BYTES)}: that is no value")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def _is_text(value: str) -> bool:
    """Whether the environment's bytes were UTF-8: what was not is a lone surrogate (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _plain(variable: str) -> str:
    """The variable without the suffix. DOCKFERRY_SINK_FILE has none: it is the sink called `file`."""
    plain = variable.removesuffix(FILE_SUFFIX)
    return variable if plain + "_" == SINK_PREFIX else plain


def _unknown(plain: str, variable: str, known: Sequence[str]) -> str:
    suffix = variable.removeprefix(plain)
    if plain.startswith(SINK_PREFIX.rstrip("_")):
        return f"{variable} is not known; did you mean {SINK_PREFIX}<NAME>{suffix}?"
    names = [name.removeprefix(PREFIX) for name in known]
    return unknown(lambda name: PREFIX + name + suffix, plain.removeprefix(PREFIX), names)
