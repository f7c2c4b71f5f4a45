"""An event is what another JSON parser reads in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.splunk import FIELDS, Events, Layout, events
from agent.level import Level
from agent.tag import Tag
from tests.receivers.sent import batch, container, expected

ID = "0123456789abcdef" * 4
FORMATS = ["inline", "json", "raw"]


def read(sent: Events) -> list[dict[str, Any]]:
    assert sent.body.endswith(b"\n")
    return [json.loads(line) for line in sent.body.decode().removesuffix("\n").split("\n")]


def bare(**more: Any) -> Container:  # noqa: ANN401 - any field of a Container
    return Container(**{"id": ID, "name": "web", "image": "nginx", "tag": "", "host": "node-1", **more})


@pytest.mark.parametrize("format_", FORMATS)
@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(max_size=300)), min_size=1, max_size=6))
def test_each_event_has_its_time_and_its_line(format_: str, rows: list[tuple[int, bytes]]) -> None:
    sent = Batch(
        container(), Stream.STDOUT, [stamp for stamp, _ in rows], [b"<%b>" % line for _, line in rows]
    )
    for event, (stamp, line) in zip(read(events([sent], Layout(format_))), rows, strict=True):
        text = f"<{line.decode(errors='replace')}>"
        assert event["time"] == f"{stamp // 10**9}.{stamp % 10**9 // 1000:06d}"
        got = event["event"]
        assert got.endswith(f" {text}") if format_ == "raw" else got["line"] == text


def test_an_event_is_that_of_dockers_driver() -> None:
    sent = batch([b"hello"], stream=Stream.STDERR)
    [event] = read(events([sent], Layout(fields=())))
    assert event == {
        "time": "1795414426.489633",
        "host": "node-1",
        "event": {
            "line": "hello",
            "source": "stderr",
            "tag": "web",
            "attrs": {"com.example.team": 'the "a" team'},
        },
    }
    assert next(iter(event["event"])) == "line"


def test_what_that_driver_lacks_goes_along_as_indexed_fields() -> None:
    sent = batch([b"hello", b"cut"], truncated=[1])
    hello, cut = read(events([sent], Layout()))
    first, second = expected([sent])
    assert hello["fields"] == {
        "container_id": sent.container.id,
        "container_name": "web",
        "image": "nginx:1.27",
        "project": "shop",
        "service": "web-service",
        "stream": "stdout",
        "record_id": first.id,
    }
    assert cut["fields"] == {**hello["fields"], "truncated": "true", "record_id": second.id}


@pytest.mark.parametrize(
    "fields", [(), ("record_id",), ("image",), ("truncated",), ("image", "record_id"), FIELDS]
)
def test_no_other_fields_are_sent_than_wanted(fields: tuple[str, ...]) -> None:
    sent = Batch(bare(), Stream.STDOUT, [1, 2], [b"one", b"two"], truncated=frozenset([1]))
    one, two = read(events([sent], Layout(fields=fields)))
    there = set(fields) - {"project", "service", "level"}
    assert one.get("fields", {}).keys() == there - {"truncated"}
    assert two.get("fields", {}).keys() == there
    assert (one["event"]["line"], two["event"]["line"]) == ("one", "two")
    assert "fields" not in one or one["fields"]


def test_what_is_absent_is_left_out() -> None:
    [event] = read(events([Batch(bare(), Stream.STDOUT, [1], [b"hello"])], Layout()))
    assert event["event"] == {"line": "hello", "source": "stdout"}
    assert event["fields"].keys() == {"container_id", "container_name", "image", "stream", "record_id"}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b'{"a": [1, {"b": null}], "big": 12345678901234567890}', True),
        (b"[1,2]", True),
        (b"17", True),
        (b"null", True),
        (b'"text"', True),
        (b' {"a":1} ', True),
        (b"{a:1}", False),
        (b"GET /", False),
        (b"", False),
        (b'{"a":"\xff"}', False),
        (b"127.0.0.1 - -", False),
        (b'{"a":1} {"b":2}', False),
        (b"NaN", False),
    ],
)
def test_json_lines_stay_json_in_that_format_alone(line: bytes, kept: bool) -> None:  # noqa: FBT001 - a parameter
    sent = batch([line])
    [event] = read(events([sent], Layout("json")))
    text = line.decode(errors="replace")
    assert event["event"]["line"] == (json.loads(text) if kept else text)
    [event] = read(events([sent], Layout("inline")))
    assert event["event"]["line"] == text


def test_raw_is_tag_attributes_and_line() -> None:
    sent = Batch(bare(tag="web", labels={"team": "a"}, env={"KEY": "b"}), Stream.STDOUT, [1], [b'say "hi"'])
    [event] = read(events([sent], Layout("raw")))
    assert event["event"] == 'web team=a KEY=b say "hi"'


def test_blank_lines_are_named_where_splunk_would_not_take_them() -> None:
    """Those are raw ones with nothing before them; all else is not blank."""
    sent = [Batch(bare(), Stream.STDOUT, [1, 2, 3], [b"", b"x", b" \t"]), batch([b""]), batch([b"y"])]
    found = events(sent, Layout("raw"))
    assert [event["event"].rpartition(" ")[2] for event in read(found)] == ["x", "", "y"]
    assert list(found.rows) == [1, 3, 4]
    assert found.refused.keys() == {0, 2}
    assert list(events(sent, Layout("inline")).rows) == [0, 1, 2, 3, 4]


def test_index_source_and_sourcetype_may_differ_by_container() -> None:
    layout = Layout(
        index=Tag.parse('{{index .Labels "index"}}'),
        source=Tag.parse("{{.Name}}"),
        sourcetype=Tag.parse("docker"),
    )
    sent = [Batch(bare(labels=labels), Stream.STDOUT, [1], [b"x"]) for labels in ({"index": "main"}, {})]
    one, two = read(events(sent, layout))
    assert (one["index"], one["source"], one["sourcetype"]) == ("main", "web", "docker")
    assert "index" not in two  # the token's own


def test_what_is_not_utf8_is_counted() -> None:
    sent = batch([b"\xff", b"well"])
    events([sent], Layout())
    assert len(sent.undecodable) == 1


def test_a_level_is_an_indexed_field_and_parsed_fields_are_part_of_the_event() -> None:
    sent = batch([b"x", b"y", b"z"], truncated=[1])
    sent.levels, sent.fields = (
        bytes([Level.ERROR, Level.INFO, 0]),
        [b'{"status":500,"o":{"p":1}}', None, None],
    )
    first, second, third = read(events([sent], Layout()))
    assert [event["fields"].get("level") for event in (first, second, third)] == ["error", "info", None]
    assert second["fields"]["truncated"] == "true"
    assert first["event"]["fields"] == {"status": 500, "o": {"p": 1}}
    assert first["event"].keys() - {"fields"} == second["event"].keys() == third["event"].keys()
    assert all("level" not in event["fields"] for event in read(events([sent], Layout(fields=("image",)))))


def test_fields_are_not_sent_beside_what_they_were_parsed_from() -> None:
    """It would count twice for a licence."""
    sent = batch([b' {"a":1}', b"a=1", b'"a"'])
    sent.fields = [b'{"a":1}'] * 3
    assert [event["event"].get("fields") for event in read(events([sent], Layout("json")))] == [
        None,
        {"a": 1},
        {"a": 1},
    ]
    assert all(isinstance(event["event"], str) for event in read(events([sent], Layout("raw"))))
