"""Lines in, records out: what the tests of multi-line have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from agent.batch import Batch, Container, Stream
from agent.pipeline.multiline.joiner import Joiner
from agent.pipeline.multiline.rule import Rule

WEB = Container(id="ab" * 32, name="web", image="web", tag="web", host="node")
OUT, ERR = Stream.STDOUT, Stream.STDERR
TRACES = {path.stem: path.read_bytes() for path in sorted(Path(__file__).parent.glob("traces/*.txt"))}


def trace(name: str) -> list[bytes]:
    """The lines of a trace."""
    return TRACES[name].removesuffix(b"\n").split(b"\n")


def language(name: str) -> str:
    """The preset for a trace."""
    return name.removeprefix("shape-").partition("-")[0]


def batch(lines: Sequence[bytes], first: int = 0, stream: Stream = OUT) -> Batch:
    """Lines as a source hands them over; their times are their numbers, from `first` on."""
    return Batch(WEB, stream, list(range(first, first + len(lines))), list(lines))


def joiner(rule: str) -> Joiner:
    return Joiner(Rule.parse(rule))


def messages(batches: Iterable[Batch]) -> list[bytes]:
    return [message for batch in batches for message in batch.messages]


def joined(
    rule: str, lines: Sequence[bytes], borders: Iterable[int] = (), *, restart: bool = False
) -> list[bytes]:
    """The records of some lines that come in batches with these borders, at each of which all starts anew or not."""
    joins = joiner(rule)
    records: list[bytes] = []
    for start, stop in pairwise((0, *borders, len(lines))):
        records += messages(joins.feed(batch(lines[start:stop], start), 0.0))
        if restart:
            joins = Joiner.from_bytes(Rule.parse(rule), joins.to_bytes(), WEB)
    return records + messages(joins.finish())
