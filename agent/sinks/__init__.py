"""Sinks: where records go. This file is the registry: from a URL's scheme to the class that serves it.

Ours stand in `_OURS`; others come by the entry-point group `dockferry.sinks` (name: the scheme, value:
`module:Class`). Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_args

from agent.errors import SettingsError, UsageError
from agent.given import read_value
from agent.options import declared, load, unknown
from agent.sinks.base import Sink, SinkOptions, Target
from agent.sinks.url import SinkUrl, parse_url, scheme_of
from agent.sinks.url import redact as _redact

__all__ = ["GROUP", "Scheme", "parse_sink", "redact", "schemes"]

GROUP = "dockferry.sinks"
_OURS = {
    "console": "agent.sinks.console:ConsoleSink",
    "file": "agent.sinks.file:FileSink",
    "http": "agent.sinks.http:HttpLinesSink",
    "https": "agent.sinks.http:HttpLinesSink",
    "tcp": "agent.sinks.tcp:TcpSink",
    "tls": "agent.sinks.tcp:TcpSink",
    "loki+http": "agent.sinks.loki:LokiSink",
    "loki+https": "agent.sinks.loki:LokiSink",
}
_FILE_SUFFIX = "_file"


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way a sink's URL may begin, for help and reference."""

    name: str
    sink: type[Sink[Any]]
    options: type[SinkOptions]
    summary: str


def schemes() -> Iterator[Scheme]:
    """Every scheme, ours first. Imports them all. Raises UsageError when one cannot be."""
    known = _known()
    for name in known:
        sink = _load(known, name)
        yield Scheme(name, sink, _options_of(sink), (sink.__doc__ or "").strip().partition("\n")[0])


def parse_sink(name: str, url: str, *, read_file: Callable[[Path], str] = read_value) -> Sink[Any]:
    """The sink `name` that `url` describes; nothing is opened yet.

    read_file  the value in a file, for `<secret>_file`; raises ValueError
    Raises SettingsError with every fault found; no secret and no part of the URL that may be one is in it.
    """
    known = _known()
    try:
        scheme = scheme_of(url)
        if scheme not in known:
            raise SettingsError([unknown("scheme {!r}".format, scheme, known)])
        parts = parse_url(url)
    except SettingsError as error:
        raise SettingsError([f"sink {name}: {problem}" for problem in error.problems]) from None
    sink = _load(known, scheme)
    group = _options_of(sink)
    values, problems = _values(name, parts, group, read_file)
    options: SinkOptions | None = None
    try:
        options = load(group, values, describe=lambda option: f"sink {name}: option {option!r}")
    except SettingsError as error:
        problems += error.problems
    if problems or options is None:
        raise SettingsError(problems)
    first, _, second = scheme.partition("+")
    return sink(Target(name, first, second, parts.host, parts.port, parts.path), options)


def redact(url: str) -> str:
    """`url` as it may be shown: the password, and every option not known to be harmless, as `***`.

    Never fails for a bad URL. Raises UsageError when the scheme's sink cannot be imported.
    """
    known = _known()
    try:
        scheme = scheme_of(url)
    except SettingsError:
        return _redact(url, ())
    if scheme not in known:
        return _redact(url, ())
    options = list(declared(_options_of(_load(known, scheme))))
    return _redact(url, {option.name + _FILE_SUFFIX if option.secret else option.name for option in options})


def _known() -> dict[str, EntryPoint]:
    """The registry's table. Raises UsageError when two claim one scheme."""
    known = {scheme: EntryPoint(scheme, value, GROUP) for scheme, value in _OURS.items()}
    for foreign in entry_points(group=GROUP):
        scheme = foreign.name.lower()
        if scheme in known and known[scheme].value != foreign.value:
            raise UsageError(
                f"two sinks claim the scheme {scheme!r}: {known[scheme].value} and {foreign.value}; "
                "uninstall one of the packages"
            )
        known[scheme] = foreign
    return known


def _load(known: Mapping[str, EntryPoint], scheme: str) -> type[Sink[Any]]:
    entry = known[scheme]
    try:
        sink = entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the sink for {scheme!r}, {entry.value}, cannot be imported: {error}") from error
    if not (isinstance(sink, type) and issubclass(sink, Sink)):
        raise UsageError(f"the sink for {scheme!r}, {entry.value}, is no subclass of agent.sinks.base.Sink")
    return sink


def _options_of(sink: type[Sink[Any]]) -> type[SinkOptions]:
    """The group of options a sink takes: what it fills its base class's brackets with."""
    for base in sink.__mro__:
        for generic in base.__dict__.get("__orig_bases__", ()):
            for argument in get_args(generic):
                if isinstance(argument, type) and issubclass(argument, SinkOptions):
                    return argument
    return SinkOptions


def _values(
    name: str, parts: SinkUrl, group: type[SinkOptions], read_file: Callable[[Path], str]
) -> tuple[dict[str, str], list[str]]:
    """The texts of the options by name, from query, user and secret files; and what is wrong with those."""
    known = {option.name: option for option in declared(group)}
    values, problems = dict(parts.query), list[str]()
    for option, given in (("user", parts.user), ("password", parts.password)):
        if given is None:
            continue
        if option not in known:
            problems.append(f"sink {name}: {parts.scheme} takes no {option}")
        elif option in values:
            problems.append(f"sink {name}: the {option} is there twice, before the host and as an option")
        values[option] = given
    for option in [option for option, entry in known.items() if entry.secret]:
        path = values.pop(option + _FILE_SUFFIX, None)
        if path is None:
            continue
        if option in values:
            problems.append(f"sink {name}: {option!r} and {option + _FILE_SUFFIX!r} are both set; keep one")
        try:
            values[option] = read_file(Path(path))
        except ValueError as error:
            problems.append(f"sink {name}: option {option + _FILE_SUFFIX!r}: {error}")
    allowed = {option: value for option, value in values.items() if option in known or option in parts.query}
    return allowed, problems
