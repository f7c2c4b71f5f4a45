"""The Datadog Agent's label for logs: `com.datadoghq.ad.logs`, a list of configurations in JSON.

Sources: Datadog's documentation, "Docker Log Collection" and "Advanced Log Collection Configurations";
datadog-agent, comp/logs/agent/config/processing_rules.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from agent.compat import golang
from agent.compat.translation import Translation
from agent.options import KiB

LABEL: Final = "com.datadoghq.ad.logs"
MAX_BYTES: Final = 64 * KiB
_SAID = f"label {LABEL}"
#: What makes no difference here, or is for files.
_NO_MATTER = frozenset({"type", "service", "source", "sourcecategory", "log_processing_rules"})


def translate(labels: Mapping[str, str], into: Translation) -> None:
    """The rules that a container's label asks for; its service and source are the sink's to say."""
    if LABEL not in labels:
        return
    try:
        config = _parse(labels[LABEL])
    except ValueError as error:
        into.problems.append(f"{_SAID} is not {error}")
        return
    for name in ("service", "source"):
        if config.get(name):
            into.no_counterpart(f"{name} in {_SAID}", f"the option `{name}` of the sink datadog says it")
    for name in sorted(config.keys() - _NO_MATTER):
        into.no_counterpart(f"{name} in {_SAID}")
    _rules(config.get("log_processing_rules") or [], into)


def _parse(text: str) -> Mapping[str, Any]:
    """The first configuration that is of the container's output. Raises ValueError."""
    wanted = "a list of objects in JSON"
    if len(text) > MAX_BYTES:
        raise ValueError(f"{wanted}, of at most {MAX_BYTES} bytes")
    try:
        listed = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError(wanted) from None
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError(wanted)
    rules = [entry.get("log_processing_rules") or [] for entry in listed]
    if not all(isinstance(found, list) and all(isinstance(rule, dict) for rule in found) for found in rules):
        raise ValueError(f"{wanted} with log_processing_rules, a list of objects")
    return next((entry for entry in listed if entry.get("type", "docker") in ("docker", "containerd")), {})


def _rules(rules: Sequence[Mapping[str, Any]], into: Translation) -> None:
    by_type: dict[str, list[str]] = {}
    for rule in rules:
        if not isinstance(rule.get("pattern"), str) or not rule["pattern"]:
            into.no_counterpart(f"a rule of {rule.get('type')!r:.40} in {_SAID}")
        else:
            by_type.setdefault(str(rule.get("type")), []).append(rule["pattern"])
            if rule.get("replace_placeholder"):
                into.no_counterpart(f"replace_placeholder in {_SAID}", "what matches becomes ***")
    for kind, patterns in by_type.items():
        if kind not in _KINDS:
            into.no_counterpart(f"the rule {kind!r:.40} in {_SAID}")
            continue
        ours, several, text = _KINDS[kind]
        into.say(ours, f"{kind} in {_SAID}", _text(text, patterns if several else patterns[:1]))
        if len(patterns) > 1 and not several:
            into.no_counterpart(f"a second {kind} in {_SAID}", "the first is taken")


def _text(item: Callable[[str], str], patterns: Sequence[str]) -> Callable[[], str]:
    return lambda: ";".join(map(item, patterns))


def _start(pattern: str) -> str:
    return f"start={golang.pattern('^' + pattern)}"


def _mask(pattern: str) -> str:
    """All that matches, whatever groups there are."""
    return f"pattern=(?P<secret>{golang.pattern(pattern)})"


#: By type of a rule: our label, whether several patterns are alternatives there, and how one is written.
_KINDS = {
    "multi_line": ("multiline", False, _start),
    "exclude_at_match": ("drop", True, golang.condition),
    "include_at_match": ("keep", False, golang.condition),
    "mask_sequences": ("redact", True, _mask),
}
