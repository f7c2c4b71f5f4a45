"""Every DOCKFERRY_* variable, declared once; the only reader of the environment.

`Settings.load(os_environ())` gives the settings of one start or raises SettingsError with every fault. The
environment is an argument everywhere else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from agent.compat import PEERS, Peers
from agent.errors import DockferryError, SettingsError
from agent.given import Given
from agent.labels import SOURCES
from agent.level import LEVEL, Level
from agent.options import (
    BOOLEAN,
    DURATION,
    PATH,
    SECRET,
    SIZE,
    WORDS,
    GiB,
    Kind,
    MiB,
    Secret,
    choice,
    declared,
    duration,
    load,
    option,
    optional,
    show_duration,
)
from agent.pipeline.conditions import CONDITIONS, NONE, Conditions
from agent.pipeline.levels import LEVELS, Levels
from agent.pipeline.multiline.rule import MULTILINE
from agent.pipeline.multiline.rule import Rule as Multiline
from agent.pipeline.parse import PARSE, Parse
from agent.pipeline.rate import RATE, UNLIMITED, Rate
from agent.pipeline.redact import NOTHING, REDACT, Redaction
from agent.pipeline.sample import ALL, SAMPLE, Sampling
from agent.selectors import SELECTORS, Selector
from agent.tag import TAG, Tag

#: What Docker's own client obeys, and the home directory in which it finds its contexts.
DOCKER = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CONFIG",
    "DOCKER_API_VERSION",
    "HOME",
)
MEMORY = "memory"
#: An Engine looks at what its containers use once a second.
LEAST_INTERVAL_S = 1.0
#: One that is shorter may be guessed.
TOKEN_LEAST_CHARACTERS = 16

AcceptSink: TypeAlias = Callable[[str, str], object]


def os_environ() -> Mapping[str, str]:
    """The process's environment: the one place that reads it."""
    return dict(os.environ)


def _backlog(text: str) -> float | None:
    word = text.strip().lower()
    if word in {"none", "all"}:
        return 0.0 if word == "none" else None
    try:
        return duration(text)
    except ValueError:
        raise ValueError("none, all, or a duration such as 10m") from None


def _show_backlog(value: float | None) -> str:
    return "all" if value is None else show_duration(value) if value else "none"


def _listen(text: str) -> tuple[str, int] | None:
    if text.strip().lower() == "off":
        return None
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError("an address such as 127.0.0.1:9469, or off")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - ":9469" means every address


def _show_listen(value: tuple[str, int] | None) -> str:
    return "off" if value is None else show_address(*value)


def show_address(host: str, port: int) -> str:
    """`127.0.0.1:9469`, `[::1]:9469`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _token(text: str) -> Secret:
    if len(text) < TOKEN_LEAST_CHARACTERS or not (text.isascii() and text.isprintable()):
        raise ValueError(f"a token of {TOKEN_LEAST_CHARACTERS} or more printable ASCII characters")
    return Secret(text)


def _interval(text: str) -> float | None:
    if text.strip().lower() == "off":
        return None
    with contextlib.suppress(ValueError):
        if (seconds := duration(text)) >= LEAST_INTERVAL_S:
            return seconds
    raise ValueError(f"off, or a duration of at least {show_duration(LEAST_INTERVAL_S)}, such as 15s")


def _show_interval(value: float | None) -> str:
    return "off" if value is None else show_duration(value)


def reachable(host: str) -> str:
    """Where on this machine one that listens at `host` is asked: who listens everywhere, on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


BACKLOG: Kind[float | None] = Kind("none|all|duration", _backlog, _show_backlog)
INTERVAL: Kind[float | None] = Kind("off|duration", _interval, _show_interval)
LISTEN: Kind[tuple[str, int] | None] = Kind("address", _listen, _show_listen)
TOKEN: Kind[Secret | None] = optional(Kind(SECRET.name, _token, SECRET.show))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one start. Sizes are bytes, durations seconds.

    urls     the sinks' URLs by lower-case name, in the variables' order, then those of the command line;
             never empty
    origins  by variable, where its value comes from, for `dockferry config`: `environment`, `file /run/…`,
             `command line`, `default`, or another program's variable
    routes   by sink, the URI of another program that it was made of; `notes`: what to know of that
    docker   Docker's own variables (and HOME, where its contexts are) as they were set
    """

    state: str = option(
        PATH, "/var/lib/dockferry", help="directory of spool and cursors, or `memory`", group="state"
    )
    source: str = option(
        choice(*SOURCES),
        "auto",
        help="how a container's output is read: `logs` follows its log, `attach` its live output",
        group="source",
    )
    stall_limit: float = option(
        DURATION,
        1.0,
        help="longest time an attached container may be held; then it is detached",
        group="source",
    )
    backlog: float | None = option(
        BACKLOG, 0.0, help="of containers already running when first seen", example="10m", group="source"
    )
    include: tuple[Selector, ...] = option(
        SELECTORS, (), help="only these containers", example="name=web-*,project=shop", group="containers"
    )
    exclude: tuple[Selector, ...] = option(
        SELECTORS, (), help="all but these containers", example="label=noisy", group="containers"
    )
    opt_in: bool = option(
        BOOLEAN, False, help="only containers with the label dockferry.enable=true", group="containers"
    )
    scope: str = option(
        choice("host", "project"),
        "host",
        help="`project`: only the agent's own Compose project (sidecar)",
        group="containers",
    )
    tag: Tag = option(
        TAG, Tag.parse("{{.Name}}"), help="the records' tag, in the markup of --log-opt tag", group="records"
    )
    labels: tuple[str, ...] = option(
        WORDS, (), help="container labels to send along (globs)", example="com.example.*", group="records"
    )
    env: tuple[str, ...] = option(
        WORDS, (), help="container environment variables to send along (globs)", group="records"
    )
    multiline: Multiline = option(
        MULTILINE, Multiline(), help="which lines are one record", example="java;timeout=2s", group="pipeline"
    )
    parse: Parse = option(
        PARSE, Parse(), help="which form the lines have", example="json;time=ts", group="pipeline"
    )
    level: Levels = option(
        LEVELS, Levels.OFF, help="whether to look for a level in plain text", group="pipeline"
    )
    drop: Conditions = option(
        CONDITIONS, NONE, help="leave these records out", example="/healthz;level<info", group="pipeline"
    )
    keep: Conditions = option(
        CONDITIONS,
        NONE,
        help="leave all but these records out",
        example="^audit;level>=error",
        group="pipeline",
    )
    min_level: Level | None = option(
        optional(LEVEL), None, help="leave records of a lower level out", example="info", group="pipeline"
    )
    sample: Sampling = option(
        SAMPLE, ALL, help="one record in so many", example="10;by=field.trace_id", group="pipeline"
    )
    rate: Rate = option(
        RATE, UNLIMITED, help="most records of one container", example="100/s;burst=500", group="pipeline"
    )
    redact: Redaction = option(
        REDACT,
        NOTHING,
        help="secrets to be masked or hashed",
        example="email;card;with=hash",
        group="pipeline",
    )
    redact_key: Secret | None = option(
        optional(SECRET), None, help="what the hashes of `redact` are made with", group="pipeline"
    )
    sinks: tuple[str, ...] = option(
        WORDS,
        (),
        help="names of the sinks that get the records of containers that do not say (default: all)",
        example="loki,archive",
        group="records",
    )
    label_config: bool = option(
        BOOLEAN, True, help="whether containers may configure themselves by label", group="containers"
    )
    compat: Peers = option(
        PEERS,
        Peers(),
        help="agents whose labels and variables containers may use too: logspout, filebeat, datadog",
        example="filebeat",
        group="containers",
    )
    memory_max_bytes: int = option(SIZE, 64 * MiB, help="batches held in memory", group="state")
    spool_max_bytes: int = option(SIZE, GiB, help="batches held on disk", group="state")
    on_full: str = option(
        choice("drop_oldest", "block"), "drop_oldest", help="what a full spool does", group="state"
    )
    max_line_bytes: int = option(
        SIZE, MiB, help="longer lines are cut, marked `truncated` and counted", group="records"
    )
    shutdown_grace: float = option(
        DURATION, 10.0, help="longest wait for the sinks when stopping", group="process"
    )
    http: tuple[str, int] | None = option(
        LISTEN,
        ("127.0.0.1", 9469),
        help="where the status page, /healthz, /readyz and /metrics listen, or `off`",
        group="process",
    )
    http_token: Secret | None = option(
        TOKEN,
        None,
        help="what all but /healthz and /readyz ask for; without it log lines are shown on loopback only",
        group="process",
    )
    stats: float | None = option(
        INTERVAL,
        None,
        help="how often to ask what each container uses, for /metrics",
        example="15s",
        group="process",
    )
    stats_records: bool = option(
        BOOLEAN, False, help="whether the sinks get records of that, too", group="process"
    )
    log_level: str = option(
        choice("debug", "info", "warning", "error"), "info", help="the agent's own log", group="process"
    )
    log_format: str = option(
        choice("text", "json"), "text", help="the agent's own log, on stderr", group="process"
    )
    urls: Mapping[str, str] = field(default_factory=dict, repr=False)  # they hold secrets
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    routes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    docker: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def directory(self) -> Path | None:
        """Where the spool lives; None in memory mode."""
        return None if self.state == MEMORY else Path(self.state)

    @property
    def dead_letters(self) -> Path | None:
        """Where the sinks' dead letters are; None in memory mode."""
        return self.directory / "dead-letter" if self.directory else None

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str],
        urls: Sequence[str] = (),
        *,
        accept: AcceptSink = lambda _name, _url: None,
    ) -> Settings:
        """The settings `environ` asks for, and the sinks of the command line's `urls` besides.

        accept  is shown every sink's name and URL, and raises DockferryError for one that will not do: so
                that its faults are told together with those of the variables
        Raises SettingsError with every fault found.
        """
        given = Given.read(environ, [entry.name for entry in declared(cls)])
        given.add_urls(given.add_logspout(environ, urls))
        problems = list(given.problems)
        docker = {name: environ[name] for name in DOCKER if environ.get(name)}
        for name, url in given.sinks.items():
            with _noted(problems):
                accept(name, url)
        fixed: dict[str, object] = {"urls": given.sinks, "origins": given.origins, "docker": docker}
        fixed |= {"routes": given.routes, "notes": tuple(given.logspout.notes)}
        with _noted(problems):
            settings = load(cls, given.texts, describe=given.variable, **fixed)
            problems += [
                f"{given.variable('sinks')}: there is no sink {name!r}"
                for name in settings.sinks
                if name not in given.sinks
            ]
            if not problems:
                compat = replace(settings.compat, multiline=given.logspout.multiline)
                return replace(settings, compat=compat)
        raise SettingsError(problems)


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """Faults inside are added to `problems`, and the rest goes on."""
    try:
        yield
    except DockferryError as error:
        problems += str(error).splitlines()
