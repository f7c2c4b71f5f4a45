"""What `config`, `options` and `spool` print, as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agent import spool
from agent.batch import NS
from agent.errors import UsageError
from agent.given import SINK_PREFIX
from agent.labels import PREFIX as LABEL_PREFIX
from agent.labels import LabelOptions
from agent.options import Option, declared, show_duration, show_size, unknown
from agent.reference import by_group, default_of, kinds_of_sink, own_options, tls_options, variable
from agent.settings import DOCKER, Settings
from agent.sinks import deadletter, missing, redact
from agent.sinks.base import SinkOptions, TlsOptions
from agent.terminal import columns

IN_MEMORY: Final = "DOCKFERRY_STATE is memory: what waits is in the running agent, and nowhere else"
WIDTH: Final = 110
OPTIONS_END: Final = """\
Each variable may be given as <NAME>_FILE instead: its value is read from that file. So may each secret option
of a URL, as <option>_file. `dockferry options SINK` lists one sink's options alone."""


def config(settings: Settings) -> Iterator[str]:
    """The settings in force: name, origin, value; no secret."""
    rows = [("SETTING", "FROM", "VALUE")]
    for entry in declared(Settings):
        name = variable(entry)
        rows.append((name, settings.origins[name], _shown(entry.kind.show(getattr(settings, entry.name)))))
    for sink, url in settings.urls.items():
        name = f"{SINK_PREFIX}{sink.upper()}"
        rows.append((name, settings.origins[name], _shown(redact(url))))
    for name in DOCKER:
        if name in settings.docker and name != "HOME":
            value = settings.docker[name]
            rows.append((name, "environment", _shown(redact(value) if "@" in value else value)))
    yield from columns(rows)


def backlogs(settings: Settings, now_ns: int) -> Iterator[str]:
    """What waits for each sink, and its dead letters. Raises SpoolError; UsageError in memory mode."""
    if settings.directory is None or settings.dead_letters is None:
        raise UsageError(IN_MEMORY)
    waiting = {backlog.name: backlog for backlog in spool.inspect(settings.directory)}
    dead = {backlog.sink: backlog for backlog in deadletter.inspect(settings.dead_letters)}
    if not waiting and not dead:
        yield f"no agent has kept anything in {settings.directory} yet"
        return
    rows = [("SINK", "RECORDS WAITING", "BYTES", "OLDEST", "DEAD LETTERS", "BYTES")]
    for name in sorted({*waiting, *dead}):
        here, gone = waiting.get(name), dead.get(name)
        rows.append(
            (
                name,
                str(here.records if here else 0),
                show_size(here.bytes if here else 0),
                _age(here.oldest_ns if here else None, now_ns),
                str(gone.records if gone else 0),
                show_size(gone.bytes if gone else 0),
            )
        )
    yield from columns(rows)
    if dead:
        yield ""
        yield "`dockferry spool replay SINK` sends dead letters again, once what made them so is mended."


def _age(oldest_ns: int | None, now_ns: int) -> str:
    """`3m`, of the largest unit that fits."""
    if oldest_ns is None:
        return "-"
    seconds = max(0, now_ns - oldest_ns) / NS
    unit = next((unit for unit in (86400, 3600, 60) if seconds >= unit), 1)
    return f"{show_duration(seconds // unit * unit)} ago"


def options(sink: str | None) -> Iterator[str]:
    """Every option there is, or those of `sink` alone. Raises UsageError when there is no such sink."""
    return _everything() if sink is None else _of_sink(sink.lower())


def _everything() -> Iterator[str]:
    yield from ("ENVIRONMENT VARIABLES", "", "Where to")
    yield from columns(
        [(f"{SINK_PREFIX}<NAME>", "console:", "a sink's URL, a variable for each")], indent="  "
    )
    for title, entries in by_group(declared(Settings)):
        yield from _section(title, ((variable(entry), entry) for entry in entries))
    yield from ("", "CONTAINER LABELS")
    yield from _section("", ((LABEL_PREFIX + entry.name, entry) for entry in declared(LabelOptions)))
    yield from ("", "SINK URLS: scheme[+transport]://[user:password@]host[:port]/path?option=value")
    yield from _common(tls=True)
    for scheme, names in kinds_of_sink():
        yield from _section(f"{', '.join(names)}: {scheme.summary}", _named(own_options(scheme.options)))
    if problems := missing():
        yield from ("", "NOT INSTALLED", *(f"  {problem}" for problem in problems.values()))
    yield from ("", OPTIONS_END)


def _of_sink(sink: str) -> Iterator[str]:
    kinds = kinds_of_sink()
    for scheme, names in kinds:
        if sink in names or sink in {name.partition("+")[0] for name in names}:
            yield f"{', '.join(names)}: {scheme.summary}"
            yield from _section("Its own options", _named(own_options(scheme.options)))
            yield from _common(tls=issubclass(scheme.options, TlsOptions))
            return
    for name, problem in missing().items():
        if sink in {name, name.partition("+")[0]}:
            raise UsageError(problem)
    known = list(dict.fromkeys(name.partition("+")[0] for _, names in kinds for name in names))
    raise UsageError(f"{unknown('sink {!r}'.format, sink, known)}; there are: {', '.join(known)}")


def _common(*, tls: bool) -> Iterator[str]:
    for title, entries in by_group(declared(SinkOptions)):
        yield from _section(f"Every sink: {title[0].lower()}{title[1:]}", _named(entries))
    if tls:
        yield from _section("Sinks that speak TLS", _named(tls_options()))


def _named(entries: Iterable[Option]) -> Iterator[tuple[str, Option]]:
    return ((entry.name, entry) for entry in entries)


def _section(title: str, entries: Iterable[tuple[str, Option]]) -> Iterator[str]:
    """Name, default and meaning of each, below a title."""
    rows = [(name, default_of(entry), _meaning(entry)) for name, entry in entries]
    if rows:
        yield from ("", title) if title else ()
        yield from columns(rows, indent="  ", width=WIDTH)


def _meaning(entry: Option) -> str:
    choices = f" ({entry.kind.name})" if "|" in entry.kind.name else ""
    example = f"; for example {entry.example}" if entry.example else ""
    return entry.help + choices + (" (secret)" if entry.secret else "") + example


def _shown(value: str) -> str:
    return value if value.isprintable() else repr(value)
