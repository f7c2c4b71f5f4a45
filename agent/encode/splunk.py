"""Splunk's HTTP Event Collector: one JSON object for each event, one after the other.

Source: Splunk's docs, "Format events for HTTP Event Collector", and for the event moby's
daemon/logger/splunk/splunk.go, in its three formats:

    inline  {"line": "…", "source": "stdout", "tag": "web", "attrs": {labels and variables}}
    json    the same, but a line that is JSON stays what it is
    raw     "web label=value …"

What that driver does not send goes along as indexed fields: they are no part of the event, which is what counts
for a licence. Parsed fields are part of it, below `fields`; but where `line` or the event is what they were parsed
from, they are there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from agent.batch import Batch, Container
from agent.encode.fields import parsed
from agent.encode.utf8 import escaped
from agent.level import Level
from agent.tag import Tag

RECORD_ID, TRUNCATED, LEVEL = "record_id", "truncated", "level"
CONSTANT_FIELDS = ("container_id", "container_name", "image", "project", "service", "stream")
FIELDS = (*CONSTANT_FIELDS, LEVEL, TRUNCATED, RECORD_ID)
BLANK = "it is blank, which Splunk does not take"

_OPEN = b'{"time":"'
_END = b"}}\n"
_BLANKS = b" \t\r"
_PARTS = 7  # opening, time, metadata, id, what leads to the line, line, end
_DIGITS = b"0123456789"
#: By its first byte, the last ones that a JSON text may have: an exception for every other line would cost more.
_JSON_ENDS = {
    **dict.fromkeys(b"-" + _DIGITS, _DIGITS),
    **dict(zip(b'{["tfn', (b"}", b"]", b'"', b"e", b"e", b"l"), strict=True)),
}
_MICROS = 1_000_000
_TEN_DIGITS = 10**15, 10**16  # µs from 2001 to 2286: seconds of ten digits


@dataclass(frozen=True, slots=True)
class Layout:
    """How events are written. `fields`: which of `FIELDS`."""

    format: str = "inline"
    fields: tuple[str, ...] = FIELDS
    index: Tag | None = None
    source: Tag | None = None
    sourcetype: Tag | None = None


@dataclass(slots=True)
class Events:
    """A request's body; the row of each event in it; the rows that Splunk would not take, and why."""

    body: bytes = b""
    rows: Sequence[int] = ()
    refused: dict[int, str] = field(default_factory=dict)


def events(batches: Sequence[Batch], layout: Layout) -> Events:
    """The records as events, in order."""
    parts, blank, row = list[bytes](), list[int](), 0
    for batch in batches:
        written = _written(batch, layout)
        if layout.format == "raw" and not _prefix(batch.container):
            empty = [place for place, message in enumerate(batch.messages) if not message.strip()]
            for place in empty:
                written[_PARTS * place : _PARTS * (place + 1)] = [b""] * _PARTS
            blank += [row + place for place in empty]
        parts += written
        row += len(batch)
    rows: Sequence[int] = range(row)
    if blank:
        left_out = set(blank)
        rows = [each for each in rows if each not in left_out]
    return Events(b"".join(parts), rows, dict.fromkeys(blank, BLANK))


def _written(batch: Batch, layout: Layout) -> list[bytes]:
    """The parts of every event."""
    before, after = _around(batch, layout)
    parts = [_OPEN, b"", _metadata(batch, layout), b"", before, b"", after] * len(batch)
    parts[1::_PARTS] = _times(batch.timestamps)
    if RECORD_ID in layout.fields:
        parts[3::_PARTS] = batch.ids()
    parts[5::_PARTS] = _lines(batch, layout)
    levels, fields = parsed(batch)
    if batch.levels and LEVEL in layout.fields:
        known = {level: _metadata(batch, layout, level=level) for level in set(levels)}
        parts[2::_PARTS] = map(known.__getitem__, levels)
    if batch.fields and layout.format != "raw":
        opening = after.removesuffix(_END) + b',"fields":'
        parts[6::_PARTS] = [
            opening + text + _END if text and not (layout.format == "json" and _is_object(line)) else after
            for text, line in zip(fields, parts[5::_PARTS], strict=True)
        ]
    for row in batch.truncated:
        parts[_PARTS * row + 2] = _metadata(batch, layout, level=levels[row], truncated=True)
    return parts


def _times(stamps: Sequence[int]) -> list[bytes]:
    """Seconds with six digits of fraction, as the driver writes them."""
    micros = [stamp // 1000 for stamp in stamps]
    if _TEN_DIGITS[0] <= min(micros) and max(micros) < _TEN_DIGITS[1]:
        return [text[:10] + b"." + text[10:] for text in orjson.dumps(micros)[1:-1].split(b",")]
    return [b"%d.%06d" % divmod(micro, _MICROS) for micro in micros]


def _lines(batch: Batch, layout: Layout) -> Sequence[bytes]:
    lines = escaped(batch)
    if layout.format != "json":
        return lines
    return [
        message if _is_json(message) else b'"%b"' % text
        for message, text in zip(batch.messages, lines, strict=True)
    ]


def _is_object(line: bytes) -> bool:
    """Whether a line that is sent as JSON is an object."""
    return line.lstrip(_BLANKS)[:1] == b"{"


def _is_json(message: bytes) -> bool:
    text = message.strip(_BLANKS)
    if not text or text[-1] not in _JSON_ENDS.get(text[0], b""):
        return False
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _metadata(batch: Batch, layout: Layout, *, level: int = 0, truncated: bool = False) -> bytes:
    """What stands behind the time, up to the record's id."""
    constants, key = batch.container.constants, ("splunk metadata", layout, batch.stream, level, truncated)
    text = constants.get(key)
    if text is None:
        named = {name: getattr(layout, name) for name in ("source", "sourcetype", "index")}
        values = {name: tag.render(batch.container) for name, tag in named.items() if tag is not None}
        metadata: dict[str, object] = {"host": batch.container.host}
        metadata |= {name: value for name, value in values.items() if value}
        fields = _fields(batch, layout, level=level, truncated=truncated)
        cut = 1
        if RECORD_ID in layout.fields:
            fields[RECORD_ID] = ""
            cut = len('"}}')
        if fields:
            metadata["fields"] = fields
        text = constants[key] = b'",' + orjson.dumps(metadata)[1:-cut]
    return text


def _fields(batch: Batch, layout: Layout, *, level: int, truncated: bool) -> dict[str, str]:
    container = batch.container
    values = {
        "container_id": container.id,
        "container_name": container.name,
        "image": container.image,
        "project": container.project,
        "service": container.service,
        "stream": batch.stream.value,
        LEVEL: Level(level).text if level else None,
        TRUNCATED: "true" if truncated else None,
    }
    return {name: value for name, value in values.items() if value and name in layout.fields}


def _around(batch: Batch, layout: Layout) -> tuple[bytes, bytes]:
    """What stands between the id and the line, and behind the line."""
    container = batch.container
    opening = (b'"}' if RECORD_ID in layout.fields else b"") + b',"event":'
    if layout.format == "raw":
        return opening + orjson.dumps(_prefix(container))[:-1], b'"}\n'
    rest: dict[str, object] = {"source": batch.stream.value}
    if container.tag:
        rest["tag"] = container.tag
    if attributes := _attributes(container):
        rest["attrs"] = attributes
    quote = b"" if layout.format == "json" else b'"'
    return opening + b'{"line":' + quote, quote + b"," + orjson.dumps(rest)[1:-1] + _END


def _attributes(container: Container) -> dict[str, str]:
    return {**container.labels, **container.env}


def _prefix(container: Container) -> str:
    words = [container.tag] if container.tag else []
    words += [f"{name}={value}" for name, value in _attributes(container).items()]
    return "".join(f"{word} " for word in words)
