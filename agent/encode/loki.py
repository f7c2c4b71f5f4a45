"""Loki's PushRequest, in protobuf.

Source: loki pkg/push/push.proto; the structure is

    PushRequest { 1: repeated Stream }      Stream    { 1: string labels, 2: repeated Entry }
    Entry { 1: Timestamp, 2: string line, 3: repeated LabelPair }
    Timestamp { 1: int64 seconds, 2: int32 nanos }      LabelPair { 1: string name, 2: string value }

Labels choose the stream and are few; all else goes along with each entry as structured metadata: also its level
(Loki makes `detected_level` of a `level` there: pkg/distributor/field_detection.go) and its parsed fields.

A whole push suffers for an entry that is too far behind its stream's newest or ahead of Loki's clock. So a record's
own time counts only near the time at which it was read; else that one does, and its own is metadata.
"""

from __future__ import annotations

import functools
import itertools
import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import add

from agent.batch import NS, Batch, Container, Stream, rfc3339
from agent.encode.fields import MOST_FIELDS, Flattened, parsed
from agent.encode.orchestrated import NAMES
from agent.encode.protobuf import field, head, varint, varint_size
from agent.encode.times import near
from agent.encode.utf8 import cleaned
from agent.level import Level

#: The names that do not mean a container's label.
FIXED_LABELS = ("host", "project", "service", "container", "stream", "image", "tag")
DEFAULT_LABELS = ("host", "project", "service", "container", "stream")
SERVICE_NAME = "service_name"  # Loki's own first look; derived there by guessing, unless it is sent
RECORD_ID = "record_id"
LEVEL, OWN_TIME, TRUNCATED = "level", "timestamp", "truncated"
#: Of structured metadata, with an entry.
MOST_PAIRS = 128
_MOST_OWN = 5  # beside fields: id, level, own time, truncated, and what Loki adds
#: Loki's own bounds are an hour and ten minutes.
BEHIND_NS, AHEAD_NS = 45 * 60 * NS, 5 * 60 * NS

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
_NOT_IN_VALUES = re.compile(r'["\\\x00-\x1f\x7f]')
_PARTS = 6  # the entry's head and its second, nanoseconds, line's head, line, metadata, id


def push_request(batches: Sequence[Batch], labels: Sequence[str] = DEFAULT_LABELS) -> bytes:
    """The records as the body of a push, not yet compressed: one stream for each set of labels."""
    names = tuple(labels)
    streams: dict[bytes, list[bytes]] = {}
    for batch in batches:
        text = _labels(batch.container, batch.stream, names)
        streams.setdefault(text, []).append(_entries(batch, names))
    parts: list[bytes] = []
    for text, entries in streams.items():
        label_field = field(1, text)
        parts += [head(1, len(label_field) + sum(map(len, entries))), label_field, *entries]
    return b"".join(parts)


def _labels(container: Container, stream: Stream, labels: tuple[str, ...]) -> bytes:
    """The stream's labels in Loki's notation, `{host="node-1",…}`, sorted; absent ones are left out."""
    key = ("loki labels", stream, labels)
    text = container.constants.get(key)
    if text is None:
        values = _known(container, stream)
        chosen = {label_name(name): values.get(name) or container.labels.get(name) for name in labels}
        chosen[SERVICE_NAME] = container.service or container.name
        pairs = (f'{name}="{_quoted(value)}"' for name, value in sorted(chosen.items()) if value)
        text = container.constants[key] = b"{%b}" % ",".join(pairs).encode()
    return text


@functools.lru_cache(maxsize=1024)
def label_name(name: str) -> str:
    """`name` in the letters Loki allows: `com.example.team` becomes `com_example_team`."""
    allowed = _NOT_IN_NAMES.sub("_", name)
    return f"_{allowed}" if allowed[:1].isdigit() else allowed


def _known(container: Container, stream: Stream) -> dict[str, str | None]:
    return {
        "host": container.host,
        "project": container.project,
        "service": container.service,
        "container": container.name,
        "stream": stream.value,
        "image": container.image,
        "tag": container.tag,
    }


def _quoted(value: str) -> str:
    return _NOT_IN_VALUES.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if match[0] in '"\\' else f"\\x{ord(match[0]):02x}"


def _metadata(container: Container, stream: Stream, labels: tuple[str, ...], own: frozenset[str]) -> bytes:
    """Every entry's structured metadata but the record's id and its `own`: what is no label."""
    key = ("loki metadata", stream, labels, own)
    pairs = container.constants.get(key)
    if pairs is None:
        named = _named(container, stream, labels)
        pairs = _pairs({name: value for name, value in named.items() if name not in own})
        container.constants[key] = pairs
    return pairs


def _named(container: Container, stream: Stream, labels: tuple[str, ...]) -> dict[str, str]:
    values = {"container_id": container.id} | _known(container, stream)
    named = {name: value for name, value in values.items() if value and name not in labels}
    for name, value in [*container.labels.items(), *container.env.items()]:
        if value and name not in labels:
            named.setdefault(label_name(name), value)
    return named


def _entries(batch: Batch, labels: tuple[str, ...]) -> bytes:
    """Every record as a field 2 of Stream."""
    lines, ids, stamps = cleaned(batch), batch.ids(), near(batch, behind_ns=BEHIND_NS, ahead_ns=AHEAD_NS)
    own = _own_names(batch, labels)
    more = _own_metadata(batch, stamps, labels, own) if own or batch.fields else None
    constant = _metadata(batch.container, batch.stream, labels, own)
    marked = constant + _pair(TRUNCATED, b"true")
    parts: list[bytes] = []
    for start, stop in _runs(stamps, ids, batch.truncated):
        run = slice(start, stop)
        metadata = marked if start in batch.truncated else constant
        parts += _run(stamps[run], lines[run], ids[run], metadata, more and more[run])
    return b"".join(parts)


def _own_names(batch: Batch, labels: tuple[str, ...]) -> frozenset[str]:
    """The metadata that differs from record to record, whatever the container's labels say."""
    names = {LEVEL} if batch.levels else set[str]()
    names |= {OWN_TIME} if batch.read_at else set()
    return frozenset(names - set(map(label_name, labels)))


def _own_metadata(
    batch: Batch, stamps: Sequence[int], labels: tuple[str, ...], own: Collection[str]
) -> list[bytes]:
    """Of each record the metadata that others do not have: level, own time, parsed fields."""
    constant = _named(batch.container, batch.stream, labels)
    taken = {*constant, *map(label_name, labels), *_known(batch.container, batch.stream), *_TAKEN}
    room = max(0, min(MOST_FIELDS, MOST_PAIRS - len(constant) - _MOST_OWN))
    levels, fields = parsed(batch)
    if LEVEL not in own:
        levels = bytes(len(batch))
    named = Flattened(label_name, taken, room)
    labelled = {name: _pairs({name: constant[name]} if name in constant else {}) for name in own}
    words = [labelled.get(LEVEL, b""), *_LEVELS[1:]]
    more = [words[level] + _pairs(named.texts(text)) for level, text in zip(levels, fields, strict=True)]
    if OWN_TIME in own:
        for row, (stamp, time) in enumerate(zip(batch.timestamps, stamps, strict=True)):
            more[row] += labelled[OWN_TIME] if stamp == time else _pair(OWN_TIME, rfc3339(stamp))
    return more


def _pairs(named: Mapping[str, str]) -> bytes:
    """Structured metadata."""
    parts = []
    for name, text in named.items():
        known, value = _name_field(name), text.encode()
        about = _value_head(len(value))
        parts += [_pair_head(len(known) + len(about) + len(value)), known, about, value]
    return b"".join(parts)


_pair_head = functools.lru_cache(maxsize=4096)(functools.partial(head, 3))
_value_head = functools.lru_cache(maxsize=4096)(functools.partial(head, 2))


@functools.lru_cache(maxsize=1024)
def _name_field(name: str) -> bytes:
    return field(1, name.encode())


def _runs(
    stamps: Sequence[int], ids: Sequence[bytes], truncated: frozenset[int]
) -> Iterator[tuple[int, int]]:
    """From where to where rows differ in size by their lines alone; mostly that is all of a batch."""

    def kind(row: int) -> tuple[int, int, int, bool]:
        second, nanos = divmod(stamps[row], NS)
        return second, varint_size(nanos), len(ids[row]), row in truncated

    if ids and not truncated and _alike(min(stamps), max(stamps)) and len(set(map(len, ids))) == 1:
        yield 0, len(ids)
        return
    stop = 0
    for _, rows in itertools.groupby(range(len(ids)), kind):
        start, stop = stop, stop + sum(1 for _ in rows)
        yield start, stop


def _alike(first: int, last: int) -> bool:
    """Whether these times, and all between them, have the same second and nanoseconds of the same size."""
    (second, nanos), (last_second, last_nanos) = divmod(first, NS), divmod(last, NS)
    return second == last_second and varint_size(nanos) == varint_size(last_nanos)


def _run(
    stamps: Sequence[int],
    lines: Sequence[bytes],
    ids: Sequence[bytes],
    metadata: bytes,
    more: Sequence[bytes] | None,
) -> list[bytes]:
    """The rows of one run, column by column. `more`: metadata of each row's own."""
    second, nanos = divmod(stamps[0], NS)
    width = varint_size(nanos)
    seconds = b"\x08" + varint(second) + b"\x10"
    time = b"\x0a%c%b" % (len(seconds) + width, seconds)
    before_id = metadata + _pair(RECORD_ID, ids[0])[: -len(ids[0])]
    rest = len(time) + width + len(before_id) + len(ids[0])
    sizes = list(map(len, lines))
    heads = {size: head(2, size) for size in set(sizes)}
    parts = [before_id] * (_PARTS * len(lines))
    if more is None:
        openings = {size: head(2, rest + len(before) + size) + time for size, before in heads.items()}
        parts[0::_PARTS] = map(openings.__getitem__, sizes)
    else:
        spans = list(map(add, map(len, map(heads.__getitem__, sizes)), map(add, sizes, map(len, more))))
        wider = {span: head(2, rest + span) + time for span in set(spans)}
        parts[0::_PARTS] = map(wider.__getitem__, spans)
        parts[4::_PARTS] = [each + before_id for each in more]
    parts[1::_PARTS] = _varints([stamp - second * NS for stamp in stamps], width)
    parts[2::_PARTS] = map(heads.__getitem__, sizes)
    parts[3::_PARTS] = lines
    parts[5::_PARTS] = ids
    return parts


def _varints(values: Sequence[int], width: int) -> list[bytes]:
    """A varint for each of these numbers below 2³⁰, all of which take `width` bytes.

    The column is one large number, a digit of 64 bits for each value, and spread to 7 bits a byte in one go.
    """
    column = int.from_bytes(struct.pack(f"<{len(values)}Q", *values), "little")
    ones = int.from_bytes(bytes((1, 0, 0, 0, 0, 0, 0, 0)) * len(values), "little")
    spread = ones * (0x80808080 >> 8 * (5 - width))
    for place in range(width):
        spread |= (column & ones * (0x7F << 7 * place)) << place
    data = spread.to_bytes(8 * len(values), "little")
    return [data[at : at + width] for at in range(0, len(data), 8)]


def _pair(name: str, value: bytes) -> bytes:
    return field(3, field(1, name.encode()) + field(2, value))


_LEVELS = [b"", *(_pair(LEVEL, level.text.encode()) for level in Level)]
_TAKEN = {"container_id", SERVICE_NAME, RECORD_ID, LEVEL, "detected_level", OWN_TIME, TRUNCATED, *NAMES}
