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

__all__ = ["GROUP", "Scheme", "missing", "parse_sink", "redact", "schemes"]

GROUP = "dockferry.sinks"
_OURS = {
    "console": "agent.sinks.console:ConsoleSink",
    "file": "agent.sinks.file:FileSink",
    "http": "agent.sinks.http:HttpLinesSink",
    "https": "agent.sinks.http:HttpLinesSink",
    "tcp": "agent.sinks.tcp:TcpSink",
    "tls": "agent.sinks.tcp:TcpSink",
    "udp": "agent.sinks.udp:UdpLines",
    "loki+http": "agent.sinks.loki:LokiSink",
    "loki+https": "agent.sinks.loki:LokiSink",
    "fluent+tcp": "agent.sinks.fluent:FluentSink",
    "fluent+tls": "agent.sinks.fluent:FluentSink",
    "fluent+unix": "agent.sinks.fluent:FluentSink",
    "splunk+http": "agent.sinks.splunk:SplunkSink",
    "splunk+https": "agent.sinks.splunk:SplunkSink",
    "syslog+udp": "agent.sinks.syslog:SyslogUdp",
    "syslog+tcp": "agent.sinks.syslog:SyslogStream",
    "syslog+tls": "agent.sinks.syslog:SyslogStream",
    "syslog+unix": "agent.sinks.syslog:SyslogUnix",
    "gelf+udp": "agent.sinks.gelf:GelfUdp",
    "gelf+tcp": "agent.sinks.gelf:GelfStream",
    "gelf+tls": "agent.sinks.gelf:GelfStream",
    "gelf+http": "agent.sinks.gelf:GelfHttp",
    "gelf+https": "agent.sinks.gelf:GelfHttp",
    "journald": "agent.sinks.journald:JournaldSink",
    "redis": "agent.sinks.redis:RedisSink",
    "rediss": "agent.sinks.redis:RedisSink",
    "amqp": "agent.sinks.amqp:AmqpSink",
    "amqps": "agent.sinks.amqp:AmqpSink",
    "elasticsearch+http": "agent.sinks.elasticsearch:ElasticsearchSink",
    "elasticsearch+https": "agent.sinks.elasticsearch:ElasticsearchSink",
    "opensearch+http": "agent.sinks.elasticsearch:ElasticsearchSink",
    "opensearch+https": "agent.sinks.elasticsearch:ElasticsearchSink",
    "otlp+http": "agent.sinks.otlp:OtlpSink",
    "otlp+https": "agent.sinks.otlp:OtlpSink",
    "kafka": "agent.sinks.kafka:KafkaSink",
    "kafka+tls": "agent.sinks.kafka:KafkaSink",
    "nats": "agent.sinks.nats:NatsSink",
    "nats+tls": "agent.sinks.nats:NatsSink",
    "datadog": "agent.sinks.datadog:DatadogSink",
    "s3": "agent.sinks.s3:S3Sink",
    "cloudwatch": "agent.sinks.cloudwatch:CloudWatchSink",
    "gcplogs": "agent.sinks.gcplogs:GcpLogsSink",
}
#: What a sink of ours imports beyond what Dockferry needs itself: the package, and the extra that brings it.
_EXTRAS = {
    "aiobotocore": ("aiobotocore", "aws"),
    "aiokafka": ("aiokafka", "kafka"),
    "cryptography": ("cryptography", "nats"),
    "google": ("google-auth", "gcp"),
}
_FILE_SUFFIX = "_file"


class _NotInstalled(UsageError):
    """A sink's client is not there."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way a sink's URL may begin, for help and reference."""

    name: str
    sink: type[Sink[Any]]
    options: type[SinkOptions]
    summary: str


def schemes() -> Iterator[Scheme]:
    """Every scheme whose packages are installed, ours first. Imports them. Raises UsageError when one is broken."""
    known = _known()
    for name in known:
        try:
            sink = _load(known, name)
        except _NotInstalled:
            continue
        yield Scheme(name, sink, _options_of(sink), (sink.__doc__ or "").strip().partition("\n")[0])


def missing() -> dict[str, str]:
    """The schemes that `schemes` leaves out, each with what it needs."""
    known, found = _known(), {}
    for name in known:
        try:
            _load(known, name)
        except _NotInstalled as error:
            found[name] = str(error)
    return found


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
    if parts.more and not sink.many_hosts:
        problems.append(f"sink {name}: {scheme} takes one host, not several")
    options: SinkOptions | None = None
    try:
        options = load(group, values, describe=lambda option: f"sink {name}: option {option!r}")
    except SettingsError as error:
        problems += error.problems
    if problems or options is None:
        raise SettingsError(problems)
    first, _, second = scheme.partition("+")
    return sink(Target(name, first, second, parts.host, parts.port, parts.path, parts.more), options)


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
    except ModuleNotFoundError as error:
        package, extra = _EXTRAS.get((error.name or "").partition(".")[0], (None, None))
        if package is None:
            raise UsageError(_broken(entry, error)) from error
        raise _NotInstalled(
            f"sink {scheme}: needs the package {package}: pip install 'dockferry[{extra}]'"
        ) from error
    except (ImportError, AttributeError) as error:
        raise UsageError(_broken(entry, error)) from error
    if not (isinstance(sink, type) and issubclass(sink, Sink)):
        raise UsageError(f"the sink for {scheme!r}, {entry.value}, is no subclass of agent.sinks.base.Sink")
    return sink


def _broken(entry: EntryPoint, error: Exception) -> str:
    return f"the sink for {entry.name!r}, {entry.value}, cannot be imported: {error}"


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
