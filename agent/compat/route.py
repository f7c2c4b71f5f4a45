"""A URI of Logspout as the URL of a sink: `adapter[+transport]://address[/path]?option=value`.

Sources: Logspout 3.2.14, router/routes.go, adapters/ and transports/, and the READMEs of the adapters that others
wrote. Options that Logspout does not know are ours, and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from agent.compat import golang

MULTILINE: Final = "multiline"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_DATA = re.compile(r"\{\{-?\s*\.Data\s*-?\}\}")
_PRIORITY = re.compile(r"\{\{-?\s*\.Priority\s*-?\}\}")
_SD_ID = re.compile(r"[^\s\[\]\"={}]+@[0-9.]+")
#: What stays as it is in the value of an option.
_PLAIN = "*=:,./@-_~!()"
#: The longest message that any receiver of syslog is known to take; Logspout sends them of any length.
_SYSLOG_BYTES = {"udp": "65507", "tcp": "64KiB", "tls": "64KiB"}
_SOURCES = ("stdout", "stderr")
#: Schemes of sinks that are adapters, too.
_OURS = frozenset({"kafka", "redis", "gelf+udp", "gelf+tcp", "gelf+tls", "loki+http", "loki+https"})


@dataclass(slots=True)
class Uri:
    """A URI, taken apart; `notes` are what a person should know of its translation."""

    adapter: str
    transport: str
    address: str
    path: str
    options: dict[str, str]
    variables: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def over(self, *transports: str) -> str:
        """The transport it names, else the first of these. Raises ValueError when it is none of them."""
        if self.transport and self.transport not in transports:
            raise ValueError(f"the transport {self.transport!r} is not one of {', '.join(transports)}")
        return self.transport or transports[0]

    def use(self, **options: str) -> None:
        """Options of ours, but for those that the URI names itself."""
        self.options = {**options, **self.options}


@dataclass(frozen=True, slots=True)
class Route:
    """A URI that was understood.

    shown       its adapter and address: no secret
    url         the sink's
    multiline   whether its lines are to be joined
    append_tag  what follows the tag in its messages; None: it has none
    notes       what differs from what Logspout sends
    """

    shown: str
    url: str
    multiline: bool
    append_tag: str | None
    notes: tuple[str, ...]


def is_route(text: str) -> bool:
    """Whether an argument is a URI for Logspout, and not the URL of a sink: `kafka://…` and the like are both."""
    scheme = text.partition(":")[0].lower()
    adapter = scheme.removeprefix(f"{MULTILINE}+").partition("+")[0]
    return adapter in _ADAPTERS and scheme not in _OURS


def route(text: str, variables: Mapping[str, str]) -> Route:
    """The route of one URI, given Logspout's environment. Raises ValueError, without a secret in it."""
    uri, multiline = _parse(text, variables)
    _filter(uri)
    append_tag = uri.options.pop("append_tag", "") if uri.adapter == "syslog" else None
    shown = "+".join(filter(None, [MULTILINE if multiline else "", uri.adapter, uri.transport]))
    shown += "://" + uri.address.rpartition("@")[2]
    base = _ADAPTERS[uri.adapter](uri)
    query = "&".join(f"{name}={quote(value, safe=_PLAIN)}" for name, value in uri.options.items())
    return Route(shown, f"{base}?{query}" if query else base, multiline, append_tag, tuple(uri.notes))


def _parse(text: str, variables: Mapping[str, str]) -> tuple[Uri, bool]:
    expanded = _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text.strip())
    adapter, found, _ = expanded.partition("://")
    if not found:
        raise ValueError("it is no URI such as syslog+tcp://host:514 (write a comma within one as %2C)")
    adapter = adapter.lower()
    multiline = adapter.startswith(f"{MULTILINE}+")
    adapter, _, transport = adapter.removeprefix(f"{MULTILINE}+").partition("+")
    if adapter not in _ADAPTERS:
        raise ValueError(
            f"the adapter {adapter!r} is not known here; there are {', '.join(_ADAPTERS)}, "
            "and the sinks of DOCKFERRY_SINK_<NAME>"
        )
    try:
        parts = urlsplit(expanded)
    except ValueError:
        raise ValueError("its address cannot be read") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Uri(adapter, transport, parts.netloc, parts.path, options, variables), multiline


def _filter(uri: Uri) -> None:
    """`filter.…` as `select` and `keep_only`."""
    terms = []
    if name := uri.options.pop("filter.name", ""):
        terms.append(f"name={golang.glob(name)}")
    if container := uri.options.pop("filter.id", ""):
        terms.append(f"id={golang.glob(container)}*")
    for label in filter(None, uri.options.pop("filter.labels", "").split(",")):
        key, _, value = label.partition(":")
        terms.append(f"label={key}={golang.glob(value)}" if value else f"label={key}")
    if terms:
        uri.use(select="&".join(terms))
    sources = [
        source.strip() for source in uri.options.pop("filter.sources", "").split(",") if source.strip()
    ]
    if unknown := [source for source in sources if source not in _SOURCES]:
        raise ValueError(f"filter.sources: {unknown[0]!r} is neither stdout nor stderr")
    if len(set(sources)) == 1:
        uri.use(keep_only=f"stream={sources[0]}")


def _syslog(uri: Uri) -> str:
    transport = uri.over("udp", "tcp", "tls")
    rfc = uri.variables.get("SYSLOG_FORMAT") or "rfc5424"
    if rfc not in {"rfc5424", "rfc3164"}:
        raise ValueError(f"SYSLOG_FORMAT: {rfc!r} is not one of rfc5424, rfc3164")
    uri.use(facility=_facility(uri), max_bytes=_SYSLOG_BYTES[transport])
    structured = uri.options.pop("structured_data", "") or uri.variables.get("SYSLOG_STRUCTURED_DATA", "")
    if rfc == "rfc5424":
        uri.use(sd_id=_sd_id(structured, uri))
    else:
        uri.use(rfc="3164")
        uri.notes.append("times are those of RFC 3164 (Nov 23 10:47:58), where Logspout writes RFC 3339")
    if transport != "udp":
        framing = uri.variables.get("SYSLOG_TCP_FRAMING") or "traditional"
        if framing not in _FRAMINGS:
            raise ValueError(f"SYSLOG_TCP_FRAMING: {framing!r} is not one of {', '.join(_FRAMINGS)}")
        uri.use(framing=_FRAMINGS[framing])
    data = uri.variables.get("SYSLOG_DATA", "")
    if data and not _DATA.fullmatch(data):
        raise ValueError(
            "SYSLOG_DATA: a message is the line itself here, {{.Data}}: unset it, or send JSON (tcp://)"
        )
    for name, what in _FIXED.items():
        if uri.variables.get(name):
            uri.notes.append(f"{name} has no counterpart: {what}")
    return f"syslog+{transport}://{_tls(uri, transport)}"


_FRAMINGS = {"traditional": "newline", "octet-counted": "octets"}
_FIXED = {
    "SYSLOG_HOSTNAME": "the host is the Engine's, the container is the tag",
    "SYSLOG_PID": "it is the agent's process",
    "SYSLOG_TIMESTAMP": "it is the line's own time, to the microsecond",
}


def _facility(uri: Uri) -> str:
    priority = uri.variables.get("SYSLOG_PRIORITY", "")
    if not priority or _PRIORITY.fullmatch(priority):
        return "user"
    if not (priority.isascii() and priority.isdigit() and int(priority) < 192):
        raise ValueError("SYSLOG_PRIORITY: {{.Priority}} or a number below 192 is understood")
    uri.notes.append("of SYSLOG_PRIORITY only the facility is taken: stdout is info, stderr err")
    return str(int(priority) // 8)


def _sd_id(structured: str, uri: Uri) -> str:
    if not structured or structured == "-":
        return "-"
    name, _, parameters = structured.strip("[]").partition(" ")
    if not _SD_ID.fullmatch(name) or len(name) > 32:
        raise ValueError(
            "structured_data: its name is to be such as docker@32473, of at most 32 characters (RFC 5424); "
            "unset it for none"
        )
    if parameters.strip():
        uri.notes.append(f"the parameters of structured_data {name} are Dockferry's own")
    return name


def _tls(uri: Uri, transport: str) -> str:
    """The address; with TLS, the certificates that Logspout's variables name."""
    if transport == "tls":
        names = {"ca": "CA_CERTS", "cert": "CLIENT_CERT", "key": "CLIENT_KEY"}
        files = {option: uri.variables.get(f"LOGSPOUT_TLS_{name}", "") for option, name in names.items()}
        if "," in files["ca"]:
            raise ValueError("LOGSPOUT_TLS_CA_CERTS: one file is taken; put the certificates into one")
        if files["ca"] and uri.variables.get("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS") != "true":
            uri.notes.append(f"only the CAs in {files['ca']} are trusted, and not the system's besides")
        if not (files["cert"] and files["key"]):
            files["cert"] = files["key"] = ""
        uri.use(**{option: path for option, path in files.items() if path})
    return uri.address


def _raw(uri: Uri) -> str:
    """The adapter `raw`, and tcp, tls and udp, which are short for it."""
    transport = uri.over("udp", "tcp", "tls") if uri.adapter == "raw" else uri.adapter
    layout = uri.variables.get("RAW_FORMAT", "").removesuffix("\\n").strip()
    if not layout or _DATA.fullmatch(layout):
        uri.use(format="message")
    elif layout.startswith("{") and not layout.startswith("{{"):
        uri.notes.append("RAW_FORMAT is JSON: so are the records here, by the names that they have here")
    else:
        raise ValueError(
            "RAW_FORMAT: {{.Data}} is understood, and JSON in braces, which becomes the record; unset it for the "
            "lines alone"
        )
    return f"{transport}://{_tls(uri, transport)}"


def _logstash(uri: Uri) -> str:
    transport = uri.over("udp", "tcp", "tls")
    uri.notes.append("the container is in `container`, where Logspout's adapter has `docker`")
    for name in ("LOGSTASH_TAGS", "LOGSTASH_FIELDS"):
        if uri.variables.get(name):
            uri.notes.append(f"{name} has no counterpart: add them in Logstash")
    return f"{transport}://{_tls(uri, transport)}"


def _gelf(uri: Uri) -> str:
    transport = uri.over("udp", "tcp", "tls")
    return f"gelf+{transport}://{_tls(uri, transport)}"


def _kafka(uri: Uri) -> str:
    if uri.variables.get("KAFKA_TEMPLATE"):
        uri.notes.append("KAFKA_TEMPLATE has no counterpart: a message is the record, JSON")
    path = uri.path if uri.path.strip("/") else f"/{uri.options.pop('topic', '')}"
    return f"kafka://{uri.address}{path}"


#: Options of that adapter which make no difference here.
_OF_REDIS = (
    *("debug", "mute_errors", "dedot_labels", "use_v0_layout", "logstash_type", "docker_host"),
    *("connect_timeout", "read_timeout", "write_timeout"),
)


def _redis(uri: Uri) -> str:
    """As the adapter for Logstash has it: elements of a list."""
    key = uri.options.pop("key", "") or uri.variables.get("REDIS_KEY") or "logspout"
    database = uri.options.pop("database", "") or uri.variables.get("REDIS_DATABASE") or uri.path.strip("/")
    if password := uri.variables.get("REDIS_PASSWORD"):
        uri.use(password=password)
    uri.use(type="list")
    for name in _OF_REDIS:
        uri.options.pop(name, None)
    uri.notes.append("an element of the list is the record, JSON, by the names that it has here")
    return f"redis://{uri.address}/{database or 0}/{quote(key, safe='{}.:')}"


def _fluentd(uri: Uri) -> str:
    return f"fluent+{uri.over('tcp', 'tls')}://{uri.address}"


def _loki(uri: Uri) -> str:
    return f"loki+{uri.over('http', 'https')}://{uri.address}"


_ADAPTERS: dict[str, Callable[[Uri], str]] = {
    "syslog": _syslog,
    "raw": _raw,
    "tcp": _raw,
    "tls": _raw,
    "udp": _raw,
    "logstash": _logstash,
    "gelf": _gelf,
    "kafka": _kafka,
    "redis": _redis,
    "fluentd": _fluentd,
    "loki": _loki,
}
