"""option(): how a setting is declared. One declaration serves variable, label, URL option, check and docs.

A group of options is a frozen dataclass whose fields are made with `option()`. `load()` fills one from strings
and reports every fault at once; `declared()` lists its options for help and reference.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from agent.errors import SettingsError

T = TypeVar("T")
_KEY = "option"

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
_SIZES = {"": 1, "b": 1, "kib": KiB, "mib": MiB, "gib": GiB, "kb": 1000, "mb": 1000**2, "gb": 1000**3}
_SIZES |= {"k": KiB, "m": MiB, "g": GiB}
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


class Secret:
    """A value no printed form of which shows it; `reveal()` gives it to the code that sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What sort of value an option takes: its name in the docs, and how text becomes it.

    `parse` raises ValueError with what would have been right; `show` is the inverse, for help and `config`.
    """

    name: str
    parse: Callable[[str], T]
    show: Callable[[T], str] = str


def size(text: str) -> int:
    """Bytes: `64MiB`, `1.5GB`, `4096`. Raises ValueError."""
    return round(_quantity(text, _SIZES, "a size such as 64MiB, 1GB or 4096"))


def duration(text: str) -> float:
    """Seconds: `500ms`, `10s`, `1.5h`, and `0`. Raises ValueError."""
    return _quantity(
        text, _DURATIONS | {"": 0.0 if text.strip() == "0" else -1.0}, "a duration such as 500ms, 10s or 5m"
    )


def _quantity(text: str, units: Mapping[str, float], wanted: str) -> float:
    match = _NUMBER.fullmatch(text)
    unit = units.get(match[2].lower(), -1.0) if match else -1.0
    if match is None or unit < 0:
        raise ValueError(wanted)
    return float(match[1]) * unit


def show_size(value: int) -> str:
    """The shortest exact spelling: `64MiB`."""
    for name, unit in (("GiB", GiB), ("MiB", MiB), ("KiB", KiB)):
        if value and value % unit == 0:
            return f"{value // unit}{name}"
    return str(value)


def show_duration(value: float) -> str:
    """The shortest exact spelling: `1s`, `250ms`, `5m`."""
    if value == 0:
        return "0"
    for name, unit in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if value % unit == 0:
            return f"{int(value // unit)}{name}"
    return f"{value * 1000:.6f}".rstrip("0").rstrip(".") + "ms"


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    raise ValueError("true or false")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _show_boolean(value: bool) -> str:  # noqa: FBT001 - a Kind's show takes the value
    return "true" if value else "false"


TEXT: Kind[str] = Kind("text", str)
PATH: Kind[str] = Kind("path", str)
SIZE: Kind[int] = Kind("size", size, show_size)
DURATION: Kind[float] = Kind("duration", duration, show_duration)
BOOLEAN: Kind[bool] = Kind("true or false", _boolean, _show_boolean)
WORDS: Kind[tuple[str, ...]] = Kind("comma-separated list", _words, ",".join)
SECRET: Kind[Secret] = Kind("secret", Secret, lambda _: "***")


def integer(least: int, most: int) -> Kind[int]:
    """Whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return Kind("number", parse)


def choice(*words: str) -> Kind[str]:
    """One of `words`, in any case."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError("one of " + ", ".join(words))
        return word

    return Kind("|".join(words), parse)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """`kind`, or nothing: for options whose default is None."""
    return Kind(kind.name, kind.parse, lambda value: "" if value is None else kind.show(value))


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option, as help and reference show it."""

    name: str
    kind: Kind[Any]
    default: Any
    help: str
    example: str | None
    group: str
    required: bool

    @property
    def secret(self) -> bool:
        return self.kind.name == SECRET.name

    def show_default(self) -> str:
        """The default as one would type it; empty when there is none."""
        return "" if self.required or self.default is None else self.kind.show(self.default)


def option(
    kind: Kind[T],
    default: T = cast("Any", dataclasses.MISSING),  # noqa: B008 - the dataclasses marker for "no default"
    *,
    help: str,
    example: str | None = None,
    group: str = "",
) -> T:
    """A dataclass field that is an option. Without `default` it must be given."""
    meta = {_KEY: (kind, help, example, group)}
    return dataclasses.field(default=default, metadata=meta)


def declared(options: type[Any]) -> Iterator[Option]:
    """Every option of a group, in the order of declaration, inherited ones first."""
    for field in dataclasses.fields(options):
        if _KEY in field.metadata:
            kind, text, example, group = field.metadata[_KEY]
            yield Option(
                field.name,
                kind,
                field.default,
                text,
                example,
                group,
                required=field.default is dataclasses.MISSING,
            )


def revealed(options: object) -> list[str]:
    """The texts of the secrets among these options that are set, for who must not let them be quoted."""
    values = (getattr(options, entry.name) for entry in declared(type(options)))
    return [value.reveal() for value in values if isinstance(value, Secret)]


def load(
    options: type[T], values: Mapping[str, str], *, describe: Callable[[str], str] = str, **fixed: object
) -> T:
    """An `options` filled from texts by option name.

    describe  how a person knows an option of that name (`DOCKFERRY_STATE`, "option 'timeout' of sink 'x'")
    fixed     fields that are no options, or whose value is already known
    Raises SettingsError with every fault found: unknown names (the nearest known one is named), bad values,
    required ones missing. A bad value is quoted unless the option is a secret.
    """
    known = {entry.name: entry for entry in declared(options)}
    problems = [unknown(describe, name, known) for name in values if name not in known]
    filled: dict[str, object] = dict(fixed)
    for name, entry in known.items():
        if name in values:
            try:
                filled[name] = entry.kind.parse(values[name])
            except ValueError as error:
                said = "its value" if entry.secret else repr(values[name])
                problems.append(f"{describe(name)}: {said} is not {error}")
        elif entry.required and name not in fixed:
            problems.append(f"{describe(name)} is missing: {entry.help}")
    if problems:
        raise SettingsError(problems)
    return options(**filled)


def unknown(describe: Callable[[str], str], name: str, known: Iterable[str]) -> str:
    """The complaint about an unknown name; names the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"; did you mean {describe(near[0])}?" if near else ""
    return f"{describe(name)} is not known{hint}"
