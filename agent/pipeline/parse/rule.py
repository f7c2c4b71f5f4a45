"""The setting `parse`: a format and what is taken from its fields: `json;time=ts;message=msg`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from agent.options import Kind
from agent.pipeline import grammar
from agent.pipeline.parse import access, auto, json_lines, logfmt, nginx
from agent.pipeline.parse.clock import check_form
from agent.pipeline.parse.parsed import Format
from agent.pipeline.parse.regex import reader
from agent.pipeline.parse.step import Parsing, Taken
from agent.pipeline.parse.text import of_text
from agent.pipeline.patterns import pattern
from agent.pipeline.step import Step, Tally

FORMATS: Final[Mapping[str, Format]] = {
    "auto": auto.parse,
    "json": json_lines.parse,
    "logfmt": of_text(logfmt.read),
    "clf": of_text(access.read),
    "nginx": of_text(nginx.read),
}
_REGEX = "regex"
_OPTIONS = tuple(entry.name for entry in fields(Taken))


@dataclass(frozen=True, slots=True)
class Parse:
    """Which form the lines have. Empty: they stay as they are.

    form   a name in `FORMATS`, or `regex=` and a pattern
    taken  what is taken from the fields
    """

    form: str = ""
    taken: Taken = field(default_factory=Taken)

    @classmethod
    def parse(cls, text: str) -> Parse:
        """Raises ValueError saying what would have been right."""
        forms: list[str] = []
        taken: dict[str, str] = {}
        for item in grammar.items(text):
            option = grammar.named(item, (_REGEX, *_OPTIONS))
            if option is None:
                forms.append(_known(item))
            elif option[0] == _REGEX:
                _format_of(f"{_REGEX}={option[1]}")
                forms.append(f"{_REGEX}={option[1]}")
            elif not option[1]:
                raise ValueError(f"{option[0]}= with the name of a field")
            else:
                taken[option[0]] = option[1]
        if len(forms) > 1 or (taken and not forms):
            raise ValueError("one format and its options, such as json;time=ts")
        if "time_format" in taken:
            if "time" not in taken:
                raise ValueError("time_format= beside time=")
            _check("time_format", taken["time_format"])
        return cls(forms[0] if forms else "", Taken(**taken))

    def __str__(self) -> str:
        options = (f"{name}={value}" for name in _OPTIONS if (value := getattr(self.taken, name)) is not None)
        return ";".join((self.form, *options)) if self else grammar.OFF

    def __bool__(self) -> bool:
        return bool(self.form)

    def step(self, tally: Tally) -> Step:
        """What parses the lines of one container."""
        return Parsing(_format_of(self.form), self.taken, tally)


def _known(word: str) -> str:
    form = word.lower()
    if form not in FORMATS:
        raise ValueError(grammar.nearest(word, (*FORMATS, *(f"{name}=…" for name in (_REGEX, *_OPTIONS)))))
    return form


def _check(name: str, text: str) -> None:
    try:
        check_form(text)
    except ValueError as error:
        raise ValueError(f"{name}= with {error}") from None


def _format_of(form: str) -> Format:
    known = FORMATS.get(form)
    if known is not None:
        return known
    compiled = pattern(form.partition("=")[2])
    if not compiled.groupindex:
        raise ValueError("regex= with a named group, such as (?P<level>[A-Z]+)")
    return of_text(reader(compiled))


PARSE: Final[Kind[Parse]] = Kind("format", Parse.parse, str)
