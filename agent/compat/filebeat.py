"""Filebeat's hints for autodiscover: labels `co.elastic.logs/…`, and `co.elastic.logs.<container>/…` in a pod.

Sources: Filebeat's reference, "Hints based autodiscover" and "Manage multiline messages"; beats,
filebeat/autodiscover/builder/hints/logs.go. A list is divided at commas there, whatever is in it; so here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agent.compat import golang
from agent.compat.translation import Translation

PREFIX: Final = "co.elastic.logs"
_CONTAINER = "io.kubernetes.container.name"
#: Of what is set besides, what makes no difference here.
_NO_MATTER = frozenset({"json.add_error_key", "json.ignore_decoding_error", "json.overwrite_keys"})
#: (negate, match) of a pattern: what the lines that match are to the lines around them.
_MULTILINE = {(False, "after"): "continue", (True, "after"): "start", (True, "before"): "end"}


def translate(labels: Mapping[str, str], into: Translation) -> None:
    """The hints among a container's labels."""
    hints = _hints(labels)
    if not hints:
        return
    for name in ("enabled", "disable"):
        if name in hints:
            wanted = name == "enabled"
            into.say("enable", _label(name), _truth(hints.pop(name), wanted=wanted))
    _multiline(hints, into)
    _json(hints, into)
    for name, ours in (("exclude_lines", "drop"), ("include_lines", "keep")):
        if listed := [part.strip() for part in hints.pop(name, "").split(",") if part.strip()]:
            into.say(ours, _label(name), _conditions(listed))
    for name in hints:
        if name not in _NO_MATTER:
            into.no_counterpart(_label(name))


def _hints(labels: Mapping[str, str]) -> dict[str, str]:
    """By name; those for the container itself before those for all of its pod."""
    general, own = f"{PREFIX}/", f"{PREFIX}.{labels.get(_CONTAINER)}/"
    found = {label.removeprefix(general): text for label, text in labels.items() if label.startswith(general)}
    if _CONTAINER in labels:
        found |= {label.removeprefix(own): text for label, text in labels.items() if label.startswith(own)}
    return found


def _label(name: str) -> str:
    return f"label {PREFIX}/{name}"


def _truth(text: str, *, wanted: bool) -> Callable[[], str]:
    return lambda: "true" if golang.boolean(text) is wanted else "false"


def _conditions(listed: list[str]) -> Callable[[], str]:
    return lambda: ";".join(map(golang.condition, listed))


def _multiline(hints: dict[str, str], into: Translation) -> None:
    given = {name: hints.pop(name) for name in list(hints) if name.startswith("multiline.")}
    options = {name.removeprefix("multiline."): text for name, text in given.items()}
    if not options:
        return
    kind = options.pop("type", "pattern")
    if kind != "pattern" or "pattern" not in options:
        into.no_counterpart(
            _label("multiline.type" if kind != "pattern" else "multiline"), "a pattern is needed"
        )
        return
    understood = {"pattern", "negate", "match", "timeout", "max_lines"}
    if (
        options.get("negate", "").lower() == "true"
    ):  # else there are no beginnings, after which an end would count
        understood.add("flush_pattern")
    for name in sorted(options.keys() - understood):
        del options[name]
        into.no_counterpart(_label(f"multiline.{name}"))
    into.say("multiline", _label("multiline.pattern"), lambda: _rule(options))


def _rule(options: Mapping[str, str]) -> str:
    way = golang.boolean(options.get("negate", "false")), options.get("match", "after")
    if way not in _MULTILINE:
        raise ValueError(
            "a pattern with match: after, or with negate: true and match: before; for others there is "
            "dockferry.multiline"
        )
    items = [f"{_MULTILINE[way]}={golang.pattern(options['pattern'])}"]
    if "flush_pattern" in options:
        items.append(f"end={golang.pattern(options['flush_pattern'])}")
    if "timeout" in options:
        items.append(golang.wait(golang.duration(options["timeout"])))
    if "max_lines" in options:
        items.append(f"max_lines={options['max_lines']}")
    return ";".join(items)


def _parse(message_key: str) -> str:
    if ";" in message_key:
        raise ValueError("a name without ;")
    return f"json;message={message_key}" if message_key else "json"


def _json(hints: dict[str, str], into: Translation) -> None:
    names = [name for name in hints if name.startswith("json.")]
    if not names:
        return
    key = hints.pop("json.message_key", "")
    into.say("parse", _label("json.*"), lambda: _parse(key))
    for name in ("json.keys_under_root", "json.target", "json.expand_keys"):
        if hints.pop(name, "false") not in {"false", ""}:
            into.no_counterpart(_label(name), "what is parsed is below `fields`")
