"""Entries are what a JSON parser reads in them: the driver's payload, and ours beside it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.gcplogs import entries, payload_bytes
from agent.level import Level
from tests.receivers.google import read_entry
from tests.receivers.received import in_order
from tests.receivers.sent import START_NS, batch, container, expected


def read(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"[" + data + b"]", object_pairs_hook=in_order)
    return found


@given(
    st.lists(
        st.tuples(st.integers(0, 4 * 10**18), st.binary(max_size=200), st.booleans()), min_size=1, max_size=8
    )
)
def test_each_record_is_an_entry(rows: list[tuple[int, bytes, bool]]) -> None:
    sent = Batch(
        container(),
        Stream.STDERR,
        [stamp for stamp, _, _ in rows],
        [line for _, line, _ in rows],
        truncated=frozenset(row for row, (_, _, cut) in enumerate(rows) if cut),
    )
    assert list(map(read_entry, read(entries(sent, {})))) == expected([sent])


def test_the_payload_is_the_drivers_and_ours_beside_it() -> None:
    instance = {"zone": "europe-west1-b", "name": "vm-1", "id": "123"}
    of = Container(
        id="ab" * 32,
        name="web",
        image="nginx:1.27",
        image_id="sha256:cd",
        tag="shop/web",
        host="node-1",
        labels={"team": "a"},
        env={"STAGE": "test"},
        project="shop",
        service="web",
    )
    [entry] = read(entries(batch([b"hello"], of=of), instance))
    assert entry == {
        "insertId": f"{'ab' * 10}o{START_NS}",
        "timestamp": "2026-11-23T06:13:46.489633114Z",
        "jsonPayload": {
            "instance": instance,
            "container": {
                "name": "/web",
                "id": "ab" * 32,
                "imageName": "nginx:1.27",
                "imageId": "sha256:cd",
                "metadata": {"team": "a", "STAGE": "test"},
            },
            "stream": "stdout",
            "tag": "shop/web",
            "host": "node-1",
            "project": "shop",
            "service": "web",
            "message": "hello",
        },
    }


def test_what_is_not_there_is_left_out() -> None:
    of = Container(id="ab" * 32, name="web", image="nginx", tag="web", host="node-1")
    [entry] = read(entries(batch([b""], of=of), {}))
    assert set(entry["jsonPayload"]) == {"container", "stream", "tag", "host", "message"}
    assert set(entry["jsonPayload"]["container"]) == {"name", "id", "imageName"}


def test_what_goes_with_a_message_is_told_in_bytes() -> None:
    sent = batch([b"x" * 100])
    assert 0 < len(entries(sent, {})) - payload_bytes(sent, {}) - 100 < 150


def test_what_is_not_utf8_is_counted() -> None:
    sent = batch([b"fine", b"\xff"])
    entries(sent, {})
    assert len(sent.undecodable) == 1


def test_a_level_is_the_severity_and_parsed_fields_are_part_of_the_payload() -> None:
    sent = batch([b"x", b"y", b"z"], truncated=[0])
    sent.levels = bytes([Level.WARNING, Level.TRACE, 0])
    sent.fields = [b'{"status":500,"a":1,"a":2}', None, None]  # such a name would cost the whole request
    first, second, third = read(entries(sent, {}))
    assert [entry.get("severity") for entry in (first, second, third)] == ["WARNING", "DEBUG", None]
    assert first["jsonPayload"]["fields"] == {"status": 500, "a": 2}
    assert first["jsonPayload"]["truncated"] is True
    assert "fields" not in second["jsonPayload"]


def test_the_special_fields_of_structured_logging_are_the_entry_s() -> None:
    sent = batch([b"x", b"y"])
    name = "logging.googleapis.com/"
    special = {f"{name}trace": "projects/p/traces/0", f"{name}spanId": "1", f"{name}trace_sampled": True}
    sent.fields = [json.dumps(special).encode(), b'{"logging.googleapis.com/trace":5,"a":1}']
    first, second = read(entries(sent, {}))
    assert (first["trace"], first["spanId"], first["traceSampled"]) == ("projects/p/traces/0", "1", True)
    assert "fields" not in first["jsonPayload"]
    assert second["jsonPayload"]["fields"] == {"logging.googleapis.com/trace": 5, "a": 1}
    assert "trace" not in second


def test_fields_that_would_make_an_entry_too_long_are_left_out() -> None:
    sent = batch([b"x" * 200_000, b"y"])
    sent.fields = [b'{"a":"%b"}' % (b"x" * 100_000)] * 2
    first, second = read(entries(sent, {}))
    assert "fields" not in first["jsonPayload"]
    assert len(second["jsonPayload"]["fields"]["a"]) == 100_000
