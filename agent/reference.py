"""docs/reference.md, and the tables of options in docs/sinks/, made of the declarations.

`python -m agent.reference docs` writes them all anew (`make docs`). The same input gives the same bytes: nothing
here depends on time, machine or what else is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from agent.errors import DockferryError, UsageError
from agent.given import FILE_SUFFIX, PREFIX, SINK_PREFIX
from agent.labels import PREFIX as LABEL_PREFIX
from agent.labels import LabelOptions
from agent.losses import Cause
from agent.metrics import Metrics
from agent.options import Option, declared
from agent.settings import DOCKER, Settings
from agent.sinks import Scheme, missing, schemes
from agent.sinks.base import SinkOptions, TlsOptions

TITLES: Final = {
    "": "Which of the records",
    "containers": "Which containers",
    "source": "How they are read",
    "records": "What is in a record",
    "pipeline": "What is done to records",
    "state": "What is kept, and how much",
    "process": "The agent itself",
    "batch": "Requests",
    "retry": "When a receiver does not answer",
    "tls": "TLS (sinks that speak it)",
}
INTRO: Final = f"""\
# Reference

Made by `make docs` from the declarations in the code, and tested to be what they say: change those, not this.

Dockferry is configured by environment variables and container labels alone. Sizes take
`KiB MiB GiB kB MB GB`, durations `ms s m h d`, lists are comma-separated. A selector is `name=web-*`,
`image=…`, `label=key`, `label=key=glob`, `project=…`, `service=…`, or a bare name glob. A name that is not
known is an error that suggests the nearest one, and all errors are told together.

## Environment variables

Each one may carry the suffix `{FILE_SUFFIX}`: its value is then read from that file, without the newline at
its end, as Docker provides secrets. A variable that is empty counts as unset.

`{SINK_PREFIX}<NAME>` holds a sink's URL, one variable for each sink; the name, in lower case, is what
metrics, logs and the label `{LABEL_PREFIX}sinks` call it. Without any, and none on the command line,
records are printed (`console:`).

Docker's own variables mean what they mean to the Docker CLI:
{", ".join(f"`{name}`" for name in DOCKER[:-1])}.
"""
LABELS: Final = f"""\
## Container labels

What a container may say of itself, unless `{PREFIX}LABEL_CONFIG` is `false`. A label that does not parse is
reported once and ignored.
"""
SINKS: Final = """\
## Sink URLs

`scheme[+transport]://[user:password@]host[:port]/path?option=value`, percent-escaped where need be. Each
secret option may be given as `<option>_file` instead: read from that file.

Each sink's own options stand on its page:
"""
_TABLE = re.compile(r"(<!-- options: (\S+) -->\n).*?(<!-- /options -->)", re.DOTALL)
LOSSES: Final = """\
## Losses

What is lost all the same is counted in `dockferry_lost_records_total` by cause, and reported in the log with
container and time range. Silence means nothing was lost.
"""
METRICS: Final = """\
## Metrics

At `/metrics`. The label `container` is the container's name, `sink` the sink's.
"""
STATUS: Final = (
    ("0", "all went well, or a signal to end was obeyed"),
    (str(DockferryError.exit_code), "something failed: the Engine, a sink, the state directory"),
    (str(UsageError.exit_code), "what was typed or set is wrong; nothing was begun"),
    ("130", "^C"),
)


def variable(entry: Option) -> str:
    """A setting as one sets it."""
    return PREFIX + entry.name.upper()


def default_of(entry: Option) -> str:
    """Its default as one would type it; a secret has none."""
    return "" if entry.secret else entry.show_default()


def by_group(entries: Iterable[Option]) -> Iterator[tuple[str, list[Option]]]:
    """The options under their groups' titles, in the order of those."""
    order = list(TITLES)
    entries = sorted(entries, key=lambda entry: order.index(entry.group))
    for group, members in groupby(entries, lambda entry: entry.group):
        yield TITLES[group], list(members)


def own_options(options: type[SinkOptions]) -> Iterator[Option]:
    """What a sink takes beside the options of every sink, or with another default."""
    common = {entry.name: entry for entry in [*declared(SinkOptions), *tls_options()]}
    for entry in declared(options):
        if entry.name not in common or entry.default != common[entry.name].default:
            yield entry


def tls_options() -> list[Option]:
    """What sinks that speak TLS take beside the options of every sink."""
    common = {entry.name for entry in declared(SinkOptions)}
    return [entry for entry in declared(TlsOptions) if entry.name not in common]


def kinds_of_sink() -> list[tuple[Scheme, list[str]]]:
    """Each sink once, with all the schemes it serves; those of other packages too."""
    found: dict[object, tuple[Scheme, list[str]]] = {}
    for scheme in schemes():
        found.setdefault(scheme.sink, (scheme, []))[1].append(scheme.name)
    return list(found.values())


def reference() -> str:
    """The page, Markdown."""
    return "\n".join([*_settings(), *_sinks(), *_what_is_counted()])


def _settings() -> Iterator[str]:
    yield INTRO
    for title, entries in by_group(declared(Settings)):
        yield f"### {title}\n"
        yield from _table(entries, "variable", PREFIX, upper=True)
    yield LABELS
    yield from _table(declared(LabelOptions), "label", LABEL_PREFIX)


def _sinks() -> Iterator[str]:
    yield SINKS
    rows = [
        (", ".join(map(_code, names)), f"[{page}](sinks/{page}.md)", scheme.summary)
        for scheme, names in kinds_of_sink()
        if (page := _page_of(scheme))
    ]
    yield from _grid(("schemes", "page", "meaning"), rows)
    yield "### Options of every sink\n"
    yield from _table([*declared(SinkOptions)], "option")
    yield "### Options of sinks that speak TLS\n"
    yield from _table(tls_options(), "option")


def _page_of(scheme: Scheme) -> str | None:
    """The page of a sink of ours has its module's name; None: another package's, installed here by chance."""
    package, _, module = scheme.sink.__module__.rpartition(".")
    return module if package == "agent.sinks" else None


def filled(page: str) -> str:
    """A page of docs/sinks/ with the tables of options between its markers. Raises UsageError."""
    known = {name: scheme for scheme, names in kinds_of_sink() for name in names}

    def table(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in known:
            raise UsageError(f"options of a scheme that is not known: {name}")
        return "\n".join([begin, *_options(known[name].options), end])

    return _TABLE.sub(table, page)


def _options(options: type[SinkOptions]) -> Iterator[str]:
    own = list(own_options(options))
    if own:
        yield from _table(own, "option")
    every = "[the options of every sink](../reference.md#options-of-every-sink)"
    tls = "[those for TLS](../reference.md#options-of-sinks-that-speak-tls)"
    also = f"{every} and {tls}" if issubclass(options, TlsOptions) else every
    yield f"{'Besides' if own else 'None of its own, but'}: {also}.\n"


def write(docs: Path) -> None:
    """All that is made of the declarations, in `docs`. Raises UsageError, when a sink's package is missing."""
    if problems := missing():
        raise UsageError("; ".join(problems.values()))
    (docs / "reference.md").write_text(reference(), "utf-8")
    for path in sorted((docs / "sinks").glob("*.md")):
        path.write_text(filled(path.read_text("utf-8")), "utf-8")


def _what_is_counted() -> Iterator[str]:
    yield METRICS
    rows = [(_code(m.name), m.kind, ", ".join(map(_code, m.labels)), m.help) for m in Metrics().declared]
    yield from _grid(("metric", "kind", "labels", "meaning"), rows)
    yield LOSSES
    yield from _grid(("cause", "meaning"), [(_code(cause.value), cause.meaning) for cause in Cause])
    yield "## Exit status\n"
    yield from _grid(("status", "meaning"), STATUS)


def _table(entries: Iterable[Option], what: str, prefix: str = "", *, upper: bool = False) -> Iterator[str]:
    rows = [
        (
            _code(prefix + (entry.name.upper() if upper else entry.name)),
            entry.kind.name.replace("|", " \\| "),
            _code(default_of(entry)),
            entry.help.replace("|", "\\|")
            + (f", for example {_code(entry.example)}" if entry.example else ""),
        )
        for entry in entries
    ]
    yield from _grid((what, "value", "default", "meaning"), rows)


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


if __name__ == "__main__":
    write(Path(sys.argv[1]))
