"""Every `dockferry.*` container label, declared once.

What a container says of itself is never a reason to lose its logs: a label that does not parse is reported,
by the caller and once, and the container is read as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.compat.translation import Translation
from agent.errors import SettingsError
from agent.level import LEVEL, Level
from agent.options import BOOLEAN, WORDS, KiB, choice, declared, load, option, optional, unknown
from agent.pipeline.conditions import CONDITIONS, Conditions
from agent.pipeline.levels import LEVELS, Levels
from agent.pipeline.multiline.rule import MULTILINE
from agent.pipeline.multiline.rule import Rule as Multiline
from agent.pipeline.parse import PARSE, Parse
from agent.pipeline.rate import RATE, Rate
from agent.pipeline.redact import REDACT, Redaction
from agent.pipeline.sample import SAMPLE, Sampling
from agent.tag import TAG, Tag

PREFIX: Final = "dockferry."
#: The ways to read a container's output.
SOURCES: Final = ("auto", "logs", "attach")
#: A longer value says nothing that a person wrote.
MAX_VALUE: Final = 16 * KiB
MAX_QUOTED: Final = 128
MAX_PROBLEMS: Final = 20


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
    multiline: Multiline | None = option(
        optional(MULTILINE), None, help="instead of DOCKFERRY_MULTILINE", example="java"
    )
    parse: Parse | None = option(optional(PARSE), None, help="instead of DOCKFERRY_PARSE", example="json")
    level: Levels | None = option(optional(LEVELS), None, help="instead of DOCKFERRY_LEVEL")
    drop: Conditions | None = option(
        optional(CONDITIONS), None, help="instead of DOCKFERRY_DROP", example="GET /healthz"
    )
    keep: Conditions | None = option(optional(CONDITIONS), None, help="instead of DOCKFERRY_KEEP")
    min_level: Level | None = option(
        optional(LEVEL), None, help="instead of DOCKFERRY_MIN_LEVEL", example="warning"
    )
    sample: Sampling | None = option(optional(SAMPLE), None, help="instead of DOCKFERRY_SAMPLE", example="10")
    rate: Rate | None = option(optional(RATE), None, help="instead of DOCKFERRY_RATE", example="100/s")
    redact: Redaction | None = option(
        optional(REDACT), None, help="besides DOCKFERRY_REDACT", example="email;card"
    )


def read_labels(
    labels: Mapping[str, str], *, container_name: str, translated: Translation | None = None
) -> tuple[LabelOptions, list[str]]:
    """What the labels of a container ask for, and what is wrong with them, a sentence each.

    translated  what it says to other agents that are understood, besides
    """
    other = translated or Translation()
    known = [entry.name for entry in declared(LabelOptions)]
    values: dict[str, str] = {}
    problems = list(other.problems)

    own = {label.removeprefix(PREFIX): text for label, text in labels.items() if label.startswith(PREFIX)}

    def describe(name: str) -> str:
        return f"label {PREFIX}{name}" if name in own else other.sources[name]

    for name, value in {**other.labels, **own}.items():
        if name not in known:
            problems.append(unknown(lambda shown: f"label {PREFIX}{shown}", name[:MAX_QUOTED], known))
            continue
        if len(value) > MAX_VALUE:
            problems.append(f"{describe(name)} is longer than {MAX_VALUE} characters")
            continue
        try:
            load(LabelOptions, {name: value}, describe=describe)
            values[name] = value
        except SettingsError as error:
            problems += error.problems
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"{len(problems) - MAX_PROBLEMS} more of its labels are no good"]
    return load(LabelOptions, values), [f"container {container_name}: {problem}" for problem in problems]
