"""Each document is its record, by the names of the common schema, behind the action that stores it once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from agent.batch import NS, Batch, Stream
from agent.encode.elasticsearch import Action, IndexName, bulk
from agent.level import Level
from agent.tag import Tag
from tests.encode import shown
from tests.encode.batches import batches
from tests.receivers.elasticsearch import read_document
from tests.receivers.received import in_order
from tests.receivers.sent import START_NS, batch, container, expected


def pairs(body: bytes) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Actions and documents. Raises Faulty for a key that is there twice."""
    lines = [json.loads(line, object_pairs_hook=in_order) for line in body.split(b"\n")[:-1]]
    return list(zip(lines[0::2], lines[1::2], strict=True))


def dedotted(labels: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in labels.items():
        found.setdefault(name.replace(".", "_").strip() or "_", value)
    return found


@given(batches())
def test_each_document_is_its_record(sent: Batch) -> None:
    got = pairs(bulk([sent], Action()))
    assert [action for action, _ in got] == [{"create": {"_id": each.decode()}} for each in sent.ids()]
    records = [read_document(action["create"]["_id"], document) for action, document in got]
    assert records == [
        replace(
            record,
            id=given_id.decode(),
            labels=dedotted(dict(record.labels)),
            service=record.service or record.container,
        )
        for record, given_id in zip(expected([sent]), sent.ids(), strict=True)
    ]


def test_a_document_has_the_names_of_the_common_schema() -> None:
    of = replace(container(), env={"TEAM": "shop"})
    [(_, document)] = pairs(bulk([batch([b"x"], of=of, truncated=[0], stream=Stream.STDERR)], Action()))
    assert document == {
        "@timestamp": "2026-11-23T06:13:46.489633114Z",
        "message": "x",
        "log": {"flags": ["truncated"]},
        "stream": "stderr",
        "tags": ["web"],
        "labels": {"project": "shop"},
        "service": {"name": "web-service"},
        "host": {"name": "node-1"},
        "container": {
            "id": of.id,
            "name": "web",
            "runtime": "docker",
            "image": {"name": "nginx", "tag": ["1.27"]},
            "labels": {"com_example_team": 'the "a" team'},
        },
        "process": {"env_vars": ["TEAM=shop"]},
        "ecs": {"version": "8.11.0"},
    }


def test_labels_that_become_one_field_are_one() -> None:
    of = replace(container(), labels={"a.b": "1", "a_b": "2", "a": "3", " ": "4"})
    [(_, document)] = pairs(bulk([batch([b"x"], of=of)], Action()))
    assert document["container"]["labels"] == {"a_b": "1", "a": "3", "_": "4"}


def test_the_action_names_operation_index_and_routing() -> None:
    action = Action("index", IndexName.parse("docker-{{.Name}}"), Tag.parse("{{.ID}}"))
    [(first, _)] = pairs(bulk([batch([b"x"])], action))
    assert first == {
        "index": {
            "_index": "docker-web",
            "routing": container().id[:12],
            "_id": expected([batch([b"x"])])[0].id,
        }
    }


def test_a_container_s_streams_do_not_mix() -> None:
    of = container()
    sent = [batch([b"x"], of=of, stream=stream) for stream in Stream]
    assert [document["stream"] for _, document in pairs(bulk(sent, Action()))] == ["stdout", "stderr"]


def test_one_container_s_records_go_to_several_sinks_by_different_actions() -> None:
    of = container()
    for op in ("create", "index", "create"):
        [(action, _)] = pairs(bulk([batch([b"x"], of=of)], Action(op)))
        assert list(action) == [op]


def test_an_index_of_a_day_takes_the_records_of_that_day() -> None:
    midnight = START_NS // (86_400 * NS) * 86_400 * NS
    action = Action(index=IndexName.parse("docker-%Y.%m.%d"))
    sent = batch([b"1", b"2", b"3"], start_ns=midnight - 2_000_000)
    assert [action["create"]["_index"] for action, _ in pairs(bulk([sent], action))] == [
        "docker-2026.11.22",
        "docker-2026.11.22",
        "docker-2026.11.23",
    ]


def test_what_a_container_says_of_itself_fits_into_a_name() -> None:
    """A label is anybody's text; the beginning of the name is the user's."""
    of = replace(container(), labels={"team": "../A, B*"})
    name = IndexName.parse('docker-{{index .Labels "team"}}')
    assert name.render(of, 0) == "docker-.._a__b_"
    assert str(name) == 'docker-{{index .Labels "team"}}'
    of = replace(container(), labels={"team": "é" * 300})
    assert len(name.render(of, 0).encode()) == 255


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{.Name}}-logs", "letters of its own"),
        ("", "letters of its own"),
        ("docker-%H", "no other dates"),
        ("docker-%", "no other dates"),
        ("Docker", "lower case"),
        ("a b", "lower case"),
        ("a,b", "lower case"),
        ("-a", "lower case"),
        ("docker-{{.Nome}}", "a template of"),
    ],
)
def test_a_name_that_cannot_be_one_is_a_fault(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        IndexName.parse(text)


def test_no_records_are_no_bytes() -> None:
    assert bulk([batch([])], Action()) == b""


def test_the_document_that_the_docs_show_is_what_is_sent() -> None:
    assert bulk([shown.record()], Action()) == shown.block("elasticsearch.md")


def test_a_level_is_the_schema_s_and_parsed_fields_lie_flat_below_fields() -> None:
    """`a` as a number here and as an object there would be refused."""
    sent = batch([b"x", b"y", b"z"], truncated=[1, 2])
    sent.levels = bytes([Level.ERROR, Level.ERROR, 0])
    sent.fields = [b'{"status":500,"http":{"path":"/","req.id":"1"},"":1," ":2,"a\\u0000":true}', None, None]
    first, second, third = [document for _, document in pairs(bulk([sent], Action()))]
    assert first["log"] == {"level": "error"}
    assert first["fields"] == {"status": 500, "http_path": "/", "http_req_id": "1", "_": 1, "a_": True}
    assert second["log"] == {"level": "error", "flags": ["truncated"]}
    assert third["log"] == {"flags": ["truncated"]}
    assert "fields" not in second


def test_an_index_of_a_day_is_that_on_which_a_record_was_read() -> None:
    """By times of its own a container could have any number of indices made."""
    sent = batch([b"x", b"y"])
    sent.read_at = sent.timestamps
    sent.timestamps = [0, sent.timestamps[0] + 86_400 * NS]
    dated = Action(index=IndexName.parse("docker-%Y.%m.%d"))
    found = pairs(bulk([sent], dated))
    assert {action["create"]["_index"] for action, _ in found} == {"docker-2026.11.23"}
    assert [document["@timestamp"][:10] for _, document in found] == ["1970-01-01", "2026-11-24"]
