"""Each log has the Agent's fields and tags."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given

from agent.batch import Batch, Stream
from agent.encode.datadog import Naming, logs
from agent.level import Level
from agent.tag import Tag
from tests.encode import shown
from tests.encode.batches import batches
from tests.receivers.received import in_order
from tests.receivers.sent import START_NS, batch, container, expected


def read(body: bytes) -> list[dict[str, Any]]:
    found = json.loads(body.decode("utf-8", errors="strict"), object_pairs_hook=in_order)
    assert isinstance(found, list)
    return found


@given(batches())
def test_each_log_is_its_record(sent: Batch) -> None:
    got = read(logs([sent], Naming()))
    assert [
        (log["timestamp"], log["message"], log["record_id"], log.get("truncated", False)) for log in got
    ] == [
        (
            stamp // 1_000_000,
            message.decode(errors="replace"),
            given_id.decode(),
            row in sent.truncated,
        )
        for row, (stamp, message, given_id) in enumerate(
            zip(sent.timestamps, sent.messages, sent.ids(), strict=True)
        )
    ]
    for log in got:
        assert log["stream"] == sent.stream.value
        assert log["service"] == sent.container.service or sent.container.name
        own = log.get("container", {})
        assert own.get("labels", {}) == sent.container.labels
        assert own.get("env", {}) == sent.container.env


def test_a_log_has_the_agent_s_fields_and_tags() -> None:
    of = replace(
        container(),
        image="registry.example:5000/shop/nginx:1.27",
        image_id="sha256:0123",
        env={"TEAM": "shop"},
        project="the,shop",
    )
    sent = batch([b"x"], of=of, stream=Stream.STDERR, truncated=[0])
    [log] = read(logs([sent], Naming(tags=("env:prod", "team:shop"))))
    tags = log.pop("ddtags").split(",")
    assert log == {
        "timestamp": START_NS // 1_000_000,
        "message": "x",
        "truncated": True,
        "status": "error",
        "hostname": "node-1",
        "service": "web-service",
        "ddsource": "nginx",
        "stream": "stderr",
        "tag": "web",
        "container": {"labels": {"com.example.team": 'the "a" team'}, "env": {"TEAM": "shop"}},
        "record_id": expected([sent])[0].id,
    }
    assert tags == [
        f"container_id:{of.id}",
        "container_name:web",
        "docker_image:registry.example:5000/shop/nginx:1.27",
        "image_name:registry.example:5000/shop/nginx",
        "short_image:nginx",
        "image_tag:1.27",
        "image_id:sha256:0123",
        "compose_project:the_shop",
        "compose_service:web-service",
        "env:prod",
        "team:shop",
    ]


def test_service_and_source_are_what_the_user_says() -> None:
    """In one sink, and not in another of the same container."""
    of = container()
    naming = Naming(service=Tag.parse("shop-{{.Name}}"), source=Tag.parse("python"))
    [log] = read(logs([batch([b"x"], of=of)], naming))
    assert (log["service"], log["ddsource"]) == ("shop-web", "python")
    [log] = read(logs([batch([b"x"], of=of)], Naming()))
    assert (log["service"], log["ddsource"]) == ("web-service", "nginx")


def test_a_container_s_streams_do_not_mix() -> None:
    of = container()
    got = read(logs([batch([b"x"], of=of, stream=stream) for stream in Stream], Naming()))
    assert [(log["stream"], log["status"]) for log in got] == [("stdout", "info"), ("stderr", "error")]


def test_several_batches_are_one_array() -> None:
    got = read(logs([batch([b"1"]), batch([]), batch([b"2", b"3"])], Naming()))
    assert [log["message"] for log in got] == ["1", "2", "3"]
    assert read(logs([], Naming())) == []


def test_the_log_that_the_docs_show_is_what_is_sent() -> None:
    assert logs([shown.record()], Naming(tags=("env:prod",))) + b"\n" == shown.block("datadog.md")


def test_a_level_is_the_status_and_parsed_fields_are_attributes() -> None:
    """Those by which Datadog finds a trace among them."""
    sent = batch([b"x", b"y", b"z"], stream=Stream.STDERR, truncated=[1])
    sent.levels = bytes([Level.WARNING, Level.DEBUG, 0])
    sent.fields = [
        b'{"http":{"status":500},"dd.trace_id":"1","dd":{"span_id":"2"},"host":"h","status":7}',
        None,
        None,
    ]
    first, second, third = read(logs([sent], Naming()))
    assert [log["status"] for log in (first, second, third)] == ["warning", "debug", "error"]
    assert {name: first[name] for name in first.keys() - third.keys()} == {
        "http": {"status": 500},
        "dd.trace_id": "1",
        "dd": {"span_id": "2"},
        "fields": {"host": "h", "status": 7},
    }
    assert second["truncated"] is True


def test_fields_that_would_make_a_log_too_long_are_left_out() -> None:
    sent = batch([b"x" * 500_000, b"y"])
    sent.fields = [b'{"a":"%b"}' % (b"x" * 500_000)] * 2
    first, second = read(logs([sent], Naming()))
    assert "a" not in first
    assert len(second["a"]) == 500_000
