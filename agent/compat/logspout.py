"""What was set for Logspout: ROUTE_URIS and the variables beside it, as our settings.

Source: Logspout 3.2.14 (its README, and router/, adapters/, where the two differ). Two things are other than there:
terminals are read (`ALLOW_TTY` or not), and a broken connection is tried for ever (`RETRY_COUNT`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.compat import golang
from agent.compat.route import Route, route

ROUTE_URIS: Final = "ROUTE_URIS"
#: The label that Logspout's README gives as an example, for want of EXCLUDE_LABEL.
_USUAL_LABEL = "logspout.exclude"
_NAMED = "{{.ContainerName}}"
_TAGS = {
    ".ContainerName": "{{.Name}}",
    ".Container.Name": "/{{.Name}}",
    ".Container.ID": "{{.FullID}}",
    ".Container.Image": "{{.ImageFullID}}",
    ".Container.Config.Image": "{{.ImageName}}",
    ".Container.Config.Labels": "index .Labels",
}
_TAG_FIELDS = (
    "{{.ContainerName}} {{.Container.ID}} {{.Container.Image}} {{.Container.Config.Image}} "
    '{{index .Container.Config.Labels "key"}}'
)
_MATCHES = {"first": "start", "nonfirst": "continue", "last": "end"}


@dataclass(slots=True)
class Logspout:
    """What Logspout's variables come to.

    routes     those of the URIs, in their order
    texts      settings by option name, as texts; `origins` names the variable of each
    multiline  how the lines are joined of a container that asks for it
    notes      what a person should know; `problems`, what must be mended first
    """

    routes: list[Route] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    multiline: str = ""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(
        cls, variables: Mapping[str, str], uris: Sequence[str], arguments: Sequence[str] = ()
    ) -> Logspout:
        """What they come to. The routes are the `uris` of ROUTE_URIS, then those of the command line."""
        found = cls()
        for place, uri in enumerate([*uris, *arguments]):
            try:
                found.routes.append(route(uri, variables))
            except ValueError as error:
                origin = f"{ROUTE_URIS}: " if place < len(uris) else ""
                found.problems.append(f"{origin}{_shown(uri)}: {error}")
        found.notes += dict.fromkeys(
            f"{known.shown}: {note}" for known in found.routes for note in known.notes
        )
        for step in (_exclude, _process, _backlog, _tag, _multiline):
            try:
                step(found, variables)
            except ValueError as error:
                found.problems.append(str(error))
        return found

    def set(self, option: str, text: str, variable: str) -> None:
        """A setting, and the variable that it comes of."""
        self.texts[option], self.origins[option] = text, variable


def uris_of(text: str) -> list[str]:
    """The URIs in ROUTE_URIS, or in one argument: between commas."""
    return [uri.strip() for uri in text.split(",") if uri.strip()]


def _shown(uri: str) -> str:
    """A URI in a complaint: without what may be a secret."""
    scheme, found, rest = uri.partition("://")
    address = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{address}" if found else "one of the URIs"


def _exclude(found: Logspout, variables: Mapping[str, str]) -> None:
    """EXCLUDE_LABEL(S): `label[:value]`, several with `;`, as selectors. The case of values does not matter."""
    variable = next((name for name in ("EXCLUDE_LABELS", "EXCLUDE_LABEL") if variables.get(name)), "")
    selectors = []
    for label in (variables.get(variable) or _USUAL_LABEL).split(";"):
        key, _, value = label.strip().partition(":")
        if set(key) & set(",&="):
            raise ValueError(f"{variable}: a label's name with a comma, & or = cannot be selected by")
        if key:
            selectors.append(f"label={key}={_any_case(value or 'true')}")
    found.set("exclude", ",".join(selectors), variable or "Logspout's default")


def _any_case(text: str) -> str:
    def ours(character: str) -> str:
        if character.lower() != character.upper():
            return f"[{character.lower()}{character.upper()}]"
        return golang.glob("\\" + character)

    return "".join(map(ours, text))


def _process(found: Logspout, variables: Mapping[str, str]) -> None:
    if variables.get("DEBUG"):
        found.set("log_level", "debug", "DEBUG")
    variable = next((name for name in ("PORT", "HTTP_PORT") if variables.get(name)), None)
    host = variables.get("HTTP_BIND_ADDRESS", "")
    if variable is not None:
        found.set("http", f"{host}:{variables[variable]}", variable)
    elif host:
        found.set("http", f"{host}:80", "HTTP_BIND_ADDRESS")
    if "http" in found.texts:
        found.notes.append(
            f"{found.origins['http']}: /healthz is here what /health is there; no /logs, no /routes"
        )


def _backlog(found: Logspout, variables: Mapping[str, str]) -> None:
    if variables.get("BACKLOG") != "true":  # its README says otherwise; its code does not
        return
    found.set("backlog", "all", "BACKLOG")
    tail = variables.get("TAIL") or "all"
    if tail == "0":
        found.set("backlog", "none", "TAIL")
    elif tail != "all":
        found.notes.append(
            "TAIL has no counterpart: all is read, once; DOCKFERRY_BACKLOG takes a duration such as 10m"
        )


def _tag(found: Logspout, variables: Mapping[str, str]) -> None:
    """SYSLOG_TAG, or the name and the `append_tag` of the routes: there is one tag for all sinks here."""
    appended = {known.append_tag for known in found.routes if known.append_tag is not None}
    if not appended:
        return
    tag = variables.get("SYSLOG_TAG", "")
    if not tag and len(appended) > 1:
        raise ValueError(
            "append_tag differs from URI to URI: here is one tag for all sinks; set DOCKFERRY_TAG, or leave "
            "append_tag out"
        )
    variable = "SYSLOG_TAG" if tag else "append_tag"
    try:
        text = golang.template(tag or _NAMED + next(iter(appended)), _TAGS, _TAG_FIELDS)
    except ValueError as error:
        raise ValueError(f"{variable} is not {error}; set DOCKFERRY_TAG instead") from None
    if text != "{{.Name}}":
        found.set("tag", text, variable)


def _multiline(found: Logspout, variables: Mapping[str, str]) -> None:
    """How lines are joined: always if a route says `multiline+…`, unless each container is to ask for it."""
    if not any(known.multiline for known in found.routes):
        return
    match = (variables.get("MULTILINE_MATCH") or "nonfirst").lower()
    if match == "nonlast":
        raise ValueError(
            "MULTILINE_MATCH=nonlast has no counterpart: set DOCKFERRY_MULTILINE with start=, continue= or end="
        )
    if match not in _MATCHES:
        raise ValueError(f"MULTILINE_MATCH: {match!r} is not one of first, last, nonfirst, nonlast")
    after = variables.get("MULTILINE_FLUSH_AFTER") or "500"
    if not (after.isascii() and after.isdigit()):
        raise ValueError(f"MULTILINE_FLUSH_AFTER: {after!r} is not a number of milliseconds")
    try:
        pattern = golang.pattern(variables.get("MULTILINE_PATTERN") or r"^\s")
        by_default = golang.boolean(variables.get("MULTILINE_ENABLE_DEFAULT") or "true")
    except ValueError as error:
        raise ValueError(f"MULTILINE_PATTERN, MULTILINE_ENABLE_DEFAULT: one of them is not {error}") from None
    found.multiline = f"{_MATCHES[match]}={pattern};{golang.wait(int(after[:9]) / 1000)}"
    if by_default:
        found.set("multiline", found.multiline, "MULTILINE_PATTERN")
    if not all(known.multiline for known in found.routes):
        found.notes.append("multiline+ before one URI: lines are joined for all sinks")
    if variables.get("MULTILINE_SEPARATOR") not in {None, "", "\n", "\\n"}:
        found.notes.append("MULTILINE_SEPARATOR has no counterpart: lines are joined with a newline")
