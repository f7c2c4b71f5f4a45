"""Every line of a storm, held against what arrived and what was reported as lost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.accounts import Book, Line, Loss, read_line, read_tail
from tests.chaos.witness import Logged

_SHOWN: Final = 6
_BEGUN = re.compile(r"\w+\.\d+\.[oe](?: \d*(?: \d*(?: \S*(?: \S*)?)?)?)?")
#: Between the time that the Engine gave a line and what the agent makes of it in a report.
_SLACK_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of one container: `logged` by the Engine, `noted` by itself, in its life.

    live    it was read as it wrote, so that a time may be the agent's rather than the Engine's
    shaken  the Engine was killed or restarted in its life
    unseen  it was removed at a time when agent or Engine were away
    uncommitted  the agent ended in its life while its disk was full: of what was read live, all that it had delivered
            and could not commit is read again from the log, where it has other times, so other ids
    """

    who: str
    logged: Sequence[Logged]
    noted: Mapping[str, int]
    live: bool
    shaken: bool
    unseen: bool
    uncommitted: bool = False


@dataclass(slots=True)
class Verdict:
    """What is wrong, for a person; and how the lines that did not arrive are accounted for, by sink and cause."""

    wrong: list[str] = field(default_factory=list)
    causes: dict[str, Counter[str]] = field(default_factory=dict)
    lines: int = 0
    logged: int = 0


def judged(
    pasts: Iterable[Past],
    books: Sequence[Book],
    reported: Sequence[Loss],
    refused: Mapping[str, set[Line]],
    until_ns: int | None = None,
) -> Verdict:
    """Hold what was written against what arrived; `until_ns`: only what the Engine had logged by then."""
    verdict = Verdict(causes={book.sink: Counter() for book in books})
    cut, shaken, again = set[str](), set[str](), set[str]()
    for past in pasts:
        at, torn = _logged(past, until_ns)
        cut |= torn
        if past.shaken or past.unseen:
            shaken.add(past.who)
        if past.live and past.uncommitted:
            again.add(past.who)
        wanted = at.keys() if until_ns is not None else at.keys() | _noted(past)
        verdict.lines += len(wanted)
        verdict.logged += len(at)
        mine = [loss for loss in reported if loss.who == past.who]
        for book in books:
            missing = wanted - _arrived(book, past.who)
            letters = missing & refused.get(book.sink, set())
            causes = {line: _cause(line, at.get(line), past, book, mine) for line in missing - letters}
            verdict.causes[book.sink].update(["dead letter"] * len(letters))
            verdict.causes[book.sink].update(filter(None, causes.values()))
            if unaccounted := sorted(line for line, cause in causes.items() if not cause):
                verdict.wrong.append(
                    f"{book.sink}: {len(unaccounted)} lines of {past.who} missing and not reported: "
                    f"{_ranges(unaccounted)}; logged at {_times(unaccounted, at)}; reported of it: {mine[-3:]}"
                )
    for book in books:
        verdict.wrong += _faults(book, cut, shaken, again)
    return verdict


def _logged(past: Past, until_ns: int | None) -> tuple[dict[Line, int], set[str]]:
    """When the Engine logged which line, and what it logged that is no whole line."""
    at: dict[Line, int] = {}
    torn = set[str]()
    for logged in past.logged:
        read = read_line(logged.text)
        if read is None:
            torn.add(logged.text)
        elif until_ns is None or logged.at <= until_ns:
            at[read[0]] = logged.at
    return at, torn


def _noted(past: Past) -> set[Line]:
    return {Line(key, number) for key, most in past.noted.items() for number in range(1, most + 1)}


def _arrived(book: Book, who: str) -> set[Line]:
    return {
        Line(key, number)
        for key, came in list(book.came.items())
        if key.partition(".")[0] == who
        for number, _ in came
    }


def _cause(line: Line, at: int | None, past: Past, book: Book, reported: Sequence[Loss]) -> str:
    """Why it is not there; "": nobody has said."""
    for loss in reported:
        if loss.sink in {"", book.sink} and _covers(loss, line, at, past, book):
            return loss.cause
    if at is None and past.shaken:
        return "lost by the Engine itself"
    if past.unseen:
        return "removed while nobody could read"
    return ""


def _covers(loss: Loss, line: Line, at: int | None, past: Past, book: Book) -> bool:
    if at is not None and loss.first_ns - _SLACK_NS <= at <= loss.last_ns + _SLACK_NS:
        return True
    if not past.live:
        return False
    before = [t for number, t in book.came.get(line.key, ()) if number < line.number]
    behind = [t for number, t in book.came.get(line.key, ()) if number > line.number]
    return (not before or max(before) <= loss.last_ns) and (not behind or loss.first_ns <= min(behind))


def _faults(book: Book, cut: set[str], shaken: set[str], again: set[str]) -> Iterator[str]:
    strange = [
        text
        for text in book.strange
        if text not in cut and not _is_begun(text, shaken) and not _is_remnant(text, book)
    ]
    if strange:
        yield f"{book.sink}: {len(strange)} records that nobody wrote: {[s[:80] for s in strange[:_SHOWN]]}"
    twice = {key: book.repeats(key) for key in list(book.came) if key.partition(".")[0] not in again}
    if book.once and (count := sum(twice.values())):
        keys = [key for key, repeats in twice.items() if repeats]
        yield f"{book.sink}: {count} repeats, of {keys[:_SHOWN]}"
    if disorder := list(book.disorder()):
        yield f"{book.sink}: {len(disorder)} out of order: {disorder[:_SHOWN]}"


def _is_begun(text: str, shaken: set[str]) -> bool:
    """Whether it is the beginning of a line of one of these, which the Engine took no further."""
    return text.partition(".")[0] in shaken and _BEGUN.fullmatch(text) is not None


def _is_remnant(text: str, book: Book) -> bool:
    """Whether it is all that there was left of a line, once its first piece had rotated away."""
    line = read_tail(text)
    return line is not None and line.number not in book.numbers(line.key)


def _ranges(lines: Sequence[Line]) -> str:
    spans: list[list[Line]] = []
    for line in lines:
        if spans and spans[-1][-1] == Line(line.key, line.number - 1):
            spans[-1][-1] = line
        else:
            spans.append([line, line])
    shown = ", ".join(f"{a.key} {a.number}-{b.number}" for a, b in spans[:_SHOWN])
    return shown + (", …" if len(spans) > _SHOWN else "")


def _times(lines: Sequence[Line], at: Mapping[Line, int]) -> str:
    times = [at[line] for line in lines if line in at]
    return f"{min(times)}-{max(times)} ({len(times)} lines)" if times else "no time at all"
