"""The topic or subject for each container: a template, in which what a container says of itself is one fit word.

A label is anybody's text. It must not get a record into a place that the template does not mean.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from agent.batch import Container
from agent.errors import SettingsError
from agent.sinks.base import Target
from agent.tag import Tag

_DIGEST_BYTES = 4


@dataclass(frozen=True, slots=True)
class Names:
    """A template and what is allowed for the words in it.

    unfit  what becomes `_` in a word
    most   characters of a word at the most; longer ones are cut, and kept apart by a digest
    """

    template: Tag
    unfit: re.Pattern[str]
    most: int

    def of(self, container: Container) -> bytes:
        """The name for this container's records."""
        name = container.constants.get(self)
        if name is None:
            words = (
                part if isinstance(part, str) else self._fit(part(container)) for part in self.template.parts
            )
            name = container.constants[self] = "".join(words).encode()
        return name

    def with_word(self, word: str) -> str:
        """The name of a container that says `word` of itself wherever it is asked."""
        return "".join(part if isinstance(part, str) else word for part in self.template.parts)

    def _fit(self, text: str) -> str:
        word = self.unfit.sub("_", text) or "_"
        if len(word) <= self.most:
            return word
        digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()
        return f"{word[: self.most - len(digest) - 1]}-{digest}"


def name_template(target: Target, wanted: str, *, allowed: str, unfit: str, most: int) -> Names:
    """The template in the path of a sink's URL. Raises SettingsError.

    wanted          what is said where host or name are missing
    allowed         what a name has to match once every word in it is filled in
    unfit and most  are those of `Names`
    """
    text = target.path.removeprefix("/")
    if not target.host or not text:
        raise SettingsError([f"sink {target.name}: {wanted}"])
    try:
        names = Names(Tag.parse(text), re.compile(unfit), most)
    except ValueError as error:
        raise SettingsError([f"sink {target.name}: what follows the host is not {error}"]) from None
    if not re.fullmatch(allowed, names.with_word("w")):
        raise SettingsError([f"sink {target.name}: what follows the host is no name there: {wanted}"])
    return names
