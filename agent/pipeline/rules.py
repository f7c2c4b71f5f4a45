"""Rules: what is to be done to a container's records, from the settings and from its own labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Self

from agent.labels import LabelOptions
from agent.level import Level
from agent.options import Secret
from agent.pipeline.conditions import NONE, Conditions, at_least, dropping, keeping
from agent.pipeline.levels import Levels
from agent.pipeline.multiline.rule import Rule as Multiline
from agent.pipeline.parse import Parse
from agent.pipeline.rate import UNLIMITED, Rate
from agent.pipeline.redact import Redaction
from agent.pipeline.sample import ALL, Sampling
from agent.pipeline.step import Step, Tally
from agent.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A rule for each step, named as its setting is; false: the step is left out."""

    multiline: Multiline = field(default_factory=Multiline)
    parse: Parse = field(default_factory=Parse)
    level: Levels = Levels.OFF
    drop: Conditions = NONE
    keep: Conditions = NONE
    min_level: Level | None = None
    sample: Sampling = ALL
    rate: Rate = UNLIMITED
    redact: tuple[Redaction, ...] = ()
    redact_key: Secret | None = None

    @classmethod
    def of(cls, settings: Settings, labels: LabelOptions) -> Self:
        """What a label says stands in place of the setting of that name; `redact` comes on top of it.

        So that no container sends what its host's owner wants masked.
        """
        names = [each.name for each in fields(cls) if not each.name.startswith("redact")]
        labelled = {name: rule for name in names if (rule := getattr(labels, name)) is not None}
        settled = {name: getattr(settings, name) for name in names if name not in labelled}
        redact = tuple(rule for rule in (settings.redact, labels.redact) if rule)
        return cls(**settled, **labelled, redact=redact, redact_key=settings.redact_key)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return any(getattr(self, each.name) for each in fields(self) if each.name != "redact_key")

    def choosing(self, tally: Tally) -> Iterator[tuple[str, Step]]:
        """The steps there are before a flood is judged, in order, each with its setting's name."""
        if self.parse:
            yield "parse", self.parse.step(tally)
        if self.level:
            yield "level", self.level.step(tally)
        if self.min_level:
            yield "min_level", at_least(self.min_level, tally)
        if self.drop:
            yield "drop", dropping(self.drop, tally)
        if self.keep:
            yield "keep", keeping(self.keep, tally)
        if self.sample:
            yield "sample", self.sample.step(tally)

    def redacting(self, tally: Tally) -> Iterator[tuple[str, Step]]:
        """The steps after it, likewise."""
        key = self.redact_key.reveal().encode() if self.redact_key else b""
        for rule in self.redact:
            yield "redact", rule.step(tally, key)
