"""Every `dockferry.*` container label, declared once.

What a container says of itself is never a reason to lose its logs: a label that does not parse is reported,
by the caller and once, and the container is read as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.errors import SettingsError
from agent.options import BOOLEAN, WORDS, choice, declared, load, option, optional, unknown
from agent.tag import TAG, Tag

PREFIX: Final = "dockferry."
#: The ways to read a container's output.
SOURCES: Final = ("auto", "logs", "attach")
#: Labels of the contract that mean nothing to this version yet: no reason for a complaint.
RESERVED: Final = frozenset({"multiline", "parse", "redact", "drop", "keep", "sample", "rate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """What a container's labels ask for; None: they do not say."""

    enable: bool | None = option(
        optional(BOOLEAN),
        None,
        help="`true`: ship this container under DOCKFERRY_OPT_IN; `false`: never ship it",
    )
    tag: Tag | None = option(
        optional(TAG), None, help="instead of DOCKFERRY_TAG", example='{{index .Labels "app"}}'
    )
    source: str | None = option(optional(choice(*SOURCES)), None, help="instead of DOCKFERRY_SOURCE")
    sinks: tuple[str, ...] | None = option(
        optional(WORDS),
        None,
        help="names of the sinks that get its records (default: all)",
        example="loki,file",
    )


def read_labels(labels: Mapping[str, str], *, container_name: str) -> tuple[LabelOptions, list[str]]:
    """What the labels of a container ask for, and what is wrong with them, a sentence each."""
    known = [entry.name for entry in declared(LabelOptions)]
    values: dict[str, str] = {}
    problems: list[str] = []

    def describe(name: str) -> str:
        return f"label {PREFIX}{name}"

    for label, value in labels.items():
        name = label.removeprefix(PREFIX)
        if name == label or name in RESERVED:
            continue
        if name not in known:
            problems.append(unknown(describe, name, known))
            continue
        try:
            load(LabelOptions, {name: value}, describe=describe)
            values[name] = value
        except SettingsError as error:
            problems += error.problems
    return load(LabelOptions, values), [f"container {container_name}: {problem}" for problem in problems]
