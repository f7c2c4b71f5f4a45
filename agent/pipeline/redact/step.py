"""Redactor: batch → batch with its secrets masked, hashed, or the records that hold one left out.

All rows are searched at once for the clues of all secrets; only rows with a clue, or whose escapes hide one, are
looked at one by one. A secret that is found in a record's message or fields is taken out of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from hashlib import blake2b
from typing import Final

from agent.batch import Batch, Stream
from agent.pipeline.redact.escapes import plain, readings, trimmed, views
from agent.pipeline.redact.finders import Finder, Span
from agent.pipeline.redact.key import Block
from agent.pipeline.redact.search import Search
from agent.pipeline.redact.values import is_object, replaced, values, values_replaced
from agent.pipeline.step import Tally

MASK: Final = b"***"
HASH: Final = b"hash-"
_HASH_BYTES: Final = 8
#: What was redacted before.
_DONE: Final = re.compile(rb"\*\*\*|hash-[0-9a-f]{16}")
#: A shorter one may stand elsewhere by chance, and is taken out there only where it is a whole value.
_LEAST_BYTES: Final = 6
#: Of secrets in one half of a record, so many are looked for in the other; beyond that all of it is taken out.
_MOST_KNOWN: Final = 100
#: In a text with more of them, a secret is not looked for in its place: all of it is taken out.
_MOST_ESCAPES: Final = 50_000


def mask(_: bytes) -> bytes:
    """`***`."""
    return MASK


def hashed(key: bytes) -> Callable[[bytes], bytes]:
    """What makes `hash-` and 16 hex digits of a secret, the same for the same secret and key."""
    if len(key) > blake2b.MAX_KEY_SIZE:
        key = blake2b(key).digest()

    def put(secret: bytes) -> bytes:
        return HASH + blake2b(plain(secret), digest_size=_HASH_BYTES, key=key).hexdigest().encode()

    return put


class Redactor:
    """A step. `put` gives what stands for a secret; None: records with one are left out."""

    def __init__(
        self,
        search: Search,
        put: Callable[[bytes], bytes] | None,
        tally: Tally,
        *,
        blocks: bool,
    ) -> None:
        self._search = search
        self._put = put
        self._tally = tally
        self._blocks = {stream: Block() for stream in Stream} if blocks else {}

    def __call__(self, batch: Batch) -> Batch:
        found = dict(self._found(batch))
        if not found:
            return batch
        put = self._put
        if put is None:
            self._tally.withheld("redact", len(found))
            return batch.pick([row for row in range(len(batch)) if row not in found])
        messages = list(batch.messages)
        fields = list(batch.fields or [None] * len(batch))
        changed = 0
        for row, (in_message, in_fields) in found.items():
            message, own = messages[row], fields[row]
            write = values_replaced if is_object(message) else replaced
            messages[row] = write(message, in_message, put)
            if own:
                fields[row] = messages[row] if own == message else values_replaced(own, in_fields, put)
            changed += messages[row] != message or fields[row] != own
        if not changed:
            return batch
        self._tally.redacted(changed)
        return replace(
            batch,
            messages=messages,
            fields=batch.fields and fields,
            encoded={},
            undecodable=frozenset(),
        )

    def _found(self, batch: Batch) -> Iterator[tuple[int, tuple[list[Span], list[Span]]]]:
        """The rows with secrets, in order, and where these are in message and fields."""
        messages, fields = batch.messages, batch.fields or [None] * len(batch)
        suspects = self._suspects(messages, fields)
        block = self._blocks.get(batch.stream)
        rows = iter(sorted(suspects))
        row = 0 if block is not None and block.is_open else next(rows, len(messages))
        while row < len(messages):
            message, own = messages[row], fields[row] or b""
            covered = block is not None and block.covers(message)
            spans = _whole(message, own) if covered else _record(message, own, suspects.get(row, ()))
            if any(spans):
                yield row, spans
            if block is not None and not covered:
                block.begin(message)
            if block is not None and block.is_open:
                row += 1
            else:
                row = next((suspect for suspect in rows if suspect > row), len(messages))

    def _suspects(
        self, messages: Sequence[bytes], fields: Sequence[bytes | None]
    ) -> Mapping[int, Collection[Finder]]:
        """The rows that may hold a secret, each with the finders that may find it."""
        suspects = self._search.suspects(messages)
        if any(fields):
            columns = zip(fields, messages, strict=True)
            others = [own if own and own is not message else b"" for own, message in columns]
            for row, finders in self._search.suspects(others).items():
                suspects[row] += finders
        return {row: dict.fromkeys(finders) for row, finders in suspects.items()}


def _record(message: bytes, fields: bytes, finders: Iterable[Finder]) -> tuple[list[Span], list[Span]]:
    """Where the secrets of one record are in its message and its fields, in order, none in another."""
    in_message = _secrets(message, finders)
    if not fields or fields == message:
        return in_message, in_message
    in_fields = _secrets(fields, finders)
    known = {
        plain(text[start:end])
        for text, spans in ((message, in_message), (fields, in_fields))
        for start, end in spans
    }
    if not known:
        return [], []
    if len(known) > _MOST_KNOWN:
        return _whole(message, fields)
    long = [secret for secret in known if len(secret) >= _LEAST_BYTES]
    same = (span for span in values(fields) if plain(fields[span[0] : span[1]]) in known)
    return _merged([*in_message, *_places(message, long)]), _merged(
        [*in_fields, *_places(fields, long), *same]
    )


def _secrets(text: bytes, finders: Iterable[Finder]) -> list[Span]:
    return _merged(_everywhere(text, lambda read: (span for each in finders for span in each.find(read))))


def _everywhere(text: bytes, find: Callable[[bytes], Iterable[Span]]) -> list[Span]:
    """What is found in the text, and with its escapes resolved, as parts of the text."""
    if text.count(b"\\") > _MOST_ESCAPES:
        return [(0, len(text))] if any(_anew(read, find) for read in readings(text)) else []
    if b"\\" not in text:
        return _anew(text, find)
    path = views(text)
    spans: list[Span] = []
    escapes: list[list[Span]] = []  # of this reading, and of what it is resolved to, as parts of this reading
    for depth in range(len(path), -1, -1):
        if depth < len(path):
            back = path[depth].back
            spans = list(map(back, spans))
            escapes = [path[depth].escapes, *(list(map(back, deeper)) for deeper in escapes)]
        own = _anew(path[depth - 1].text if depth else text, find)
        spans += [reduce(trimmed, escapes, span) for span in own]
    return spans


def _anew(text: bytes, find: Callable[[bytes], Iterable[Span]]) -> list[Span]:
    """What is found and was not redacted before."""
    return [span for span in find(text) if not _DONE.fullmatch(text, *span)]


def _places(text: bytes, secrets: Iterable[bytes]) -> list[Span]:
    """Wherever one of the secrets stands."""

    def find(read: bytes) -> Iterator[Span]:
        for secret in secrets:
            at = read.find(secret)
            while at >= 0:
                yield at, at + len(secret)
                at = read.find(secret, at + len(secret))

    return _everywhere(text, find)


def _whole(message: bytes, fields: bytes) -> tuple[list[Span], list[Span]]:
    return _merged([(0, len(message))]), _merged([(0, len(fields))])


def _merged(spans: Iterable[Span]) -> list[Span]:
    """In order; those that overlap as one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif start < end:
            merged.append((start, end))
    return merged
