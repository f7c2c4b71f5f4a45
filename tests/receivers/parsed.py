"""What of a record's level and parsed fields a destination keeps that has its own idea of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.receivers.received import Received

#: By syslog's number (RFC 5424, 6.2.1), in our words.
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
DEFAULT = {"stdout": SEVERITIES.index("info"), "stderr": SEVERITIES.index("error")}


def level_of(severity: int, stream: str) -> str | None:
    """The level that a severity tells; None: what every record of the stream has."""
    return None if severity == DEFAULT[stream] else SEVERITIES[severity]


def as_severity(sent: Received) -> Received:
    """A destination that has eight severities, and each record one."""
    if sent.level is None or sent.stream is None:
        return sent
    word = {"trace": "debug"}.get(sent.level, sent.level)
    return replace(sent, level=level_of(SEVERITIES.index(word), sent.stream))


def dotted(fields: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The fields with objects taken apart."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= dotted(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found


def among_labels(sent: Received, name: Callable[[str], str], value: Callable[[Any], Any]) -> Received:
    """A destination that has fields and labels in one place, by names of its own."""
    fields = {name(key): value(each) for key, each in dotted(sent.fields).items()}
    return replace(sent, labels={**sent.labels, **fields}, fields={})


def as_text(value: object) -> str:
    """A field where there is text alone."""
    return value if isinstance(value, str) else json.dumps(value)
