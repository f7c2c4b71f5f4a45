"""Levels and parsed fields in every format: whatever a container wrote, a message is whole and ours is ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode import forward, gcplogs, gelf, journal, loki, ndjson, otlp, otlp_json, splunk, syslog
from agent.encode.datadog import Naming, logs
from agent.encode.elasticsearch import Action, bulk
from agent.level import Level
from tests.receivers.datadog import read_log
from tests.receivers.elasticsearch import read_document
from tests.receivers.forward import read_message
from tests.receivers.forward import read_record as read_forward
from tests.receivers.gelf import read_message as read_gelf
from tests.receivers.google import read_entry as read_gcplogs
from tests.receivers.journald import read_entry as read_journal
from tests.receivers.journald import read_fields
from tests.receivers.loki import PushRequest, read_entry, read_labels
from tests.receivers.otlp import JSON, PROTOBUF, decode
from tests.receivers.otlp import _attributes as attributes
from tests.receivers.otlp import read_record as read_otlp
from tests.receivers.received import Received, in_order, read_line
from tests.receivers.sent import batch, container
from tests.receivers.splunk import read_event
from tests.receivers.syslog import read_message as read_syslog

Read = Callable[[Batch], list[Received]]


def strict(data: bytes) -> Any:  # noqa: ANN401 - whatever JSON says
    """JSON in which no key is there twice."""
    return json.loads(data.decode("utf-8", errors="strict"), object_pairs_hook=in_order)


def of_documents(sent: Batch) -> list[Received]:
    lines = list(map(strict, bulk([sent], Action()).split(b"\n")[:-1]))
    return [
        read_document(action["create"]["_id"], document)
        for action, document in zip(lines[0::2], lines[1::2], strict=True)
    ]


def of_forward(sent: Batch) -> list[Received]:
    entries = forward.entries(sent)
    return list(map(read_forward, read_message(["t", entries, {"size": len(sent)}]).records))


def of_push(sent: Batch) -> list[Received]:
    push = PushRequest()
    push.ParseFromString(loki.push_request([sent]))
    return [
        read_entry(read_labels(stream.labels), entry) for stream in push.streams for entry in stream.entries
    ]


def of_otlp(kind: str, body: bytes) -> list[Received]:
    return [
        read_otlp(attributes(logs.resource.attributes), record)
        for logs in decode(kind, body).resource_logs
        for scoped in logs.scope_logs
        for record in scoped.log_records
    ]


OBSERVED_NS = 1_795_414_426_000_000_000
READERS: dict[str, Read] = {
    "ndjson": lambda sent: list(map(read_line, ndjson.lines(sent))),
    "gelf": lambda sent: list(map(read_gelf, gelf.messages(sent))),
    "syslog": lambda sent: list(map(read_syslog, syslog.messages(sent, syslog.Style()))),
    "journal": lambda sent: [
        read_journal(read_fields(entry), full_id=False) for entry in journal.entries(sent, full_id=False)
    ],
    "loki": of_push,
    "elasticsearch": of_documents,
    "splunk": lambda sent: [
        read_event(strict(line)) for line in splunk.events([sent], splunk.Layout()).body.splitlines()
    ],
    "forward": of_forward,
    "gcplogs": lambda sent: list(map(read_gcplogs, strict(b"[" + gcplogs.entries(sent, {}) + b"]"))),
    "datadog": lambda sent: list(map(read_log, strict(logs([sent], Naming())))),
    "otlp": lambda sent: of_otlp(PROTOBUF, otlp.logs_request([sent], observed_ns=OBSERVED_NS)),
    "otlp json": lambda sent: of_otlp(JSON, otlp_json.logs_request([sent], observed_ns=OBSERVED_NS)),
}
every_format = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())

OURS = (
    *("", " ", ".", "_", "id", "_id", "host", "_host", "source", "tag", "level", "_level", "message", "log"),
    *("stream", "container_id", "container_name", "record_id", "truncated", "image", "project", "service"),
    *("PRIORITY", "MESSAGE", "CONTAINER_NAME", "container name", "SYSLOG_IDENTIFIER", "timestamp", "status"),
    *("log.iostream", "log.record.uid", "dockferry.truncated", "service_name", "detected_level", "fields"),
    *("ddtags", "hostname", "fields.level", "container", "com.example.team", "com_example_team", "line"),
)
NAMES = st.one_of(
    st.sampled_from(OURS),
    st.sampled_from(['a"b', "a\nb", "a\0b", "a]b=c", "\x7f", "größe", "😀", "x" * 10_000, "x" * 120, "9"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    st.sampled_from(["", '"\\]', "two\nlines", "\0", "x" * 40_000]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=8).map(lambda found: json.dumps(found).encode())


@st.composite
def parsed(draw: st.DrawFn) -> Batch:
    """A batch with any levels and fields."""
    messages = draw(st.lists(st.sampled_from([b"", b"hello", b'"\xff', b"{}"]), min_size=1, max_size=4))
    sent = batch(messages, stream=draw(st.sampled_from(Stream)), truncated=draw(st.sampled_from([(), (0,)])))
    levels = st.lists(st.integers(0, len(Level)), min_size=len(messages), max_size=len(messages))
    fields = st.lists(st.none() | OBJECTS, min_size=len(messages), max_size=len(messages))
    sent.levels = draw(st.none() | levels.map(bytes))
    sent.fields = draw(st.none() | fields)
    return sent


def bare(sent: Batch) -> Batch:
    return replace(sent, levels=None, fields=None, encoded={})


@every_format
@given(sent=parsed())
def test_no_field_breaks_a_message_or_says_what_is_ours_to_say(read: Read, sent: Batch) -> None:
    for got, plain in zip(read(sent), read(bare(sent)), strict=True):
        assert replace(got, level=None, fields={}, labels=plain.labels) == plain
        assert got.labels.items() >= plain.labels.items()


@every_format
def test_fields_of_a_container_that_is_in_no_project_do_not_put_it_in_one(read: Read) -> None:
    of = Container(id="01" * 32, name="lone", image="i:1", tag="t", host="h")
    hostile = b'{"project":"shop","service":"other","image_id":"sha256:0","_project":"shop",'
    hostile += b'"CONTAINER_PROJECT":"shop","container.service":"other",'
    hostile += b'"swarm_task":"x","kubernetes":{"pod":"x"},"CONTAINER_KUBERNETES_POD":"x"}'
    lone = replace(batch([b"x"], of=of), fields=[hostile])
    [got], [plain] = read(lone), read(bare(lone))
    assert (got.project, got.service, got.image) == (plain.project, plain.service, plain.image)
    assert not got.labels.keys() & {"swarm_task", "kubernetes_pod"}
    assert read is not READERS["journal"] or "CONTAINER_KUBERNETES_POD" not in got.labels


@every_format
@pytest.mark.parametrize("stream", list(Stream))
def test_a_level_arrives_and_one_that_is_not_known_is_not_made_up(read: Read, stream: Stream) -> None:
    sent = batch([b"x"] * (len(Level) + 1), stream=stream)
    sent.levels = bytes(range(len(Level) + 1))
    usual = {Stream.STDOUT: "info", Stream.STDERR: "error"}[stream]
    words = [got.level for got in read(sent)]
    assert words[0] is None
    for level, word in zip(Level, words[1:], strict=True):
        allowed = {level.text, "debug" if level is Level.TRACE else level.text}
        assert word in allowed or (word is None and level.text == usual)


@every_format
def test_names_of_ours_and_more_fields_than_any_format_takes(read: Read) -> None:
    """All at once, twice in each object."""
    sent = batch([b"x"], truncated=[0])
    names = [*OURS, *OURS, *(f"number {place}" for place in range(200))]
    pairs = ",".join(f'{json.dumps(name)}:"{place}"' for place, name in enumerate(names))
    inner = ",".join(f'{json.dumps(name)}:"{place}"' for place, name in enumerate(OURS))
    text = f'{{{pairs},"o":{{{inner}}}}}'
    if read is READERS["ndjson"] or read is READERS["splunk"]:  # which send what they are given
        text = json.dumps(json.loads(text))
    sent.levels, sent.fields = bytes([Level.DEBUG]), [text.encode()]
    [got], [plain] = read(sent), read(bare(sent))
    assert replace(got, level=None, fields={}, labels=plain.labels) == plain
    assert got.level == "debug"
    assert got.labels.items() >= plain.labels.items()
    assert got.fields or len(got.labels) > 10


ENCODERS: dict[str, Callable[[Batch], object]] = {
    "ndjson": ndjson.ndjson,
    "gelf": gelf.messages,
    "syslog": lambda sent: syslog.messages(sent, syslog.Style()),
    "syslog 3164": lambda sent: syslog.messages(sent, syslog.Style(rfc="3164")),
    "journal": lambda sent: journal.entries(sent, full_id=False),
    "loki": lambda sent: loki.push_request([sent]),
    "elasticsearch": lambda sent: bulk([sent], Action()),
    "splunk": lambda sent: splunk.events([sent], splunk.Layout()).body,
    "splunk json": lambda sent: splunk.events([sent], splunk.Layout("json")).body,
    "splunk raw": lambda sent: splunk.events([sent], splunk.Layout("raw")).body,
    "forward": forward.entries,
    "gcplogs": lambda sent: gcplogs.entries(sent, {}),
    "datadog": lambda sent: logs([sent], Naming()),
    "otlp": lambda sent: otlp.logs_request([sent], observed_ns=OBSERVED_NS),
    "otlp json": lambda sent: otlp_json.logs_request([sent], observed_ns=OBSERVED_NS),
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS.keys())
def test_columns_that_know_nothing_change_nothing(encode: Callable[[Batch], object]) -> None:
    """The bytes are those of a batch without them."""
    sent = batch([b"one", b"two", b"\xff"], of=container(), stream=Stream.STDERR, truncated=[1])
    unknown = replace(sent, levels=bytes(3), fields=[None] * 3, encoded={})
    assert encode(unknown) == encode(sent)


def test_what_is_read_of_msgpack_is_what_json_says() -> None:
    sent = batch([b"x"])
    text = b'{"n":18446744073709551615,"f":0.5,"l":[1,"a",null],"o":{"p":true}}'
    sent.fields = [text]
    _, record = msgpack.unpackb(forward.entries(sent), raw=False)
    assert record["fields"] == json.loads(text)
