r"""What `redact` is set to: presets and patterns, and what is done with what they find.

email;card;pattern=pin=(\d+);with=hash
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Self

from agent.options import Kind
from agent.pipeline import grammar
from agent.pipeline.redact.finders import Own
from agent.pipeline.redact.presets import ALL, KEYS, PRESETS
from agent.pipeline.redact.search import Search
from agent.pipeline.redact.step import Redactor, hashed, mask
from agent.pipeline.step import Tally

MAX_PATTERNS: Final = 32
_NAMES: Final = ("pattern", "with")


class How(Enum):
    """What becomes of a secret, or of the record it is in."""

    MASK = "mask"
    HASH = "hash"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Redaction:
    """A parsed `redact`. `text` as typed; where it finds nothing it is off."""

    text: str
    search: Search = field(compare=False, repr=False)
    how: How = How.MASK

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError saying what would have been right."""
        presets: dict[str, None] = {}
        own: list[Own] = []
        how: How | None = None
        for item in grammar.items(text):
            match grammar.named(item, _NAMES):
                case ("pattern", pattern):
                    own.append(Own.parse(pattern))
                case (_, word):
                    if how is not None:
                        raise ValueError("something with one with=")
                    how = _how(word)
                case _ if item.lower() == ALL:
                    presets |= dict.fromkeys(PRESETS)
                case _ if item.lower() in PRESETS:
                    presets[item.lower()] = None
                case _:
                    raise ValueError(grammar.nearest(item, [*PRESETS, ALL, *(f"{name}=" for name in _NAMES)]))
        if len(own) > MAX_PATTERNS:
            raise ValueError(f"at most {MAX_PATTERNS} patterns")
        if how is not None and not (presets or own):
            raise ValueError(f"something to redact beside with=: {', '.join(PRESETS)}, {ALL} or pattern=")
        known = [finder for name in presets for finder in PRESETS[name]]
        return cls(text, Search.of(known, own), how or How.MASK)

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.search.finders)

    def step(self, tally: Tally, key: bytes = b"") -> Redactor:
        """What redacts the batches of one container. `key` makes its hashes those of nobody else."""
        put = {How.MASK: mask, How.HASH: hashed(key), How.DROP: None}[self.how]
        return Redactor(self.search, put, tally, blocks=KEYS in self.search.finders)


def _how(word: str) -> How:
    try:
        return How(word.lower())
    except ValueError:
        raise ValueError(f"with={grammar.nearest(word, [how.value for how in How])}") from None


NOTHING: Final = Redaction("", Search.of((), ()))
REDACT: Final[Kind[Redaction]] = Kind("redaction", Redaction.parse, str)
