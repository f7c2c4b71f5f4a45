"""An entry is what journald's rules read in it, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.journal import entries, field_name
from agent.level import Level
from tests.receivers.journald import read_entry, read_fields
from tests.receivers.received import nanoseconds
from tests.receivers.sent import START_NS, batch, container, expected


@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(max_size=300)), max_size=6))
def test_each_entry_has_its_time_and_every_byte_of_its_message(rows: list[tuple[int, bytes]]) -> None:
    sent = Batch(container(), Stream.STDERR, [stamp for stamp, _ in rows], [text for _, text in rows])
    got = [read_fields(entry) for entry in entries(sent, full_id=False)]
    assert [(nanoseconds(fields[b"SYSLOG_TIMESTAMP"].decode()), fields[b"MESSAGE"]) for fields in got] == rows
    assert [fields[b"CONTAINER_RECORD_ID"].decode() for fields in got] == [
        record.id for record in expected([sent])
    ]


def test_the_fields_are_those_of_docker_s_driver_and_ours() -> None:
    sent = Batch(
        Container(
            id="0123456789abcdef" * 4,
            name="a",
            image="i:1",
            tag="t",
            host="h",
            labels={"com.example/team": "two\nlines", "message": "no", "9": "no", "": "no"},
            env={"_PATH": "/bin", "EMPTY": ""},
            project="p",
        ),
        Stream.STDOUT,
        [START_NS],
        [b"hello"],
        truncated=frozenset([0]),
    )
    (entry,) = entries(sent, full_id=False)
    assert read_fields(entry) == {
        b"PRIORITY": b"6",
        b"SYSLOG_IDENTIFIER": b"t",
        b"SYSLOG_TIMESTAMP": b"2026-11-23T06:13:46.489633114Z",
        b"MESSAGE": b"hello",
        b"CONTAINER_ID": b"0123456789ab",
        b"CONTAINER_NAME": b"a",
        b"CONTAINER_TAG": b"t",
        b"IMAGE_NAME": b"i:1",
        b"CONTAINER_STREAM": b"stdout",
        b"CONTAINER_HOST": b"h",
        b"CONTAINER_PROJECT": b"p",
        b"CONTAINER_RECORD_ID": b"0123456789abcdef0123o1795414426489633114",
        b"CONTAINER_TRUNCATED": b"true",
        b"COM_EXAMPLE_TEAM": b"two\nlines",
        b"PATH": b"/bin",
    }


def test_the_full_id_is_there_only_when_asked_for() -> None:
    """Docker's driver journald gives whatever has it to who reads that container's log: to us, at last."""
    of = container()
    for full_id in (False, True, False):
        (entry,) = entries(batch([b"x"], of=of), full_id=full_id)
        assert read_entry(read_fields(entry), full_id=full_id).container_id == of.id[: 64 if full_id else 12]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("com.docker.compose.project", "COM_DOCKER_COMPOSE_PROJECT"),
        ("__a", "A"),
        ("1st", "ST"),
        ("é", ""),
        ("a" * 70, "A" * 64),
    ],
)
def test_names_of_labels_are_made_to_fit(name: str, field: str) -> None:
    assert field_name(name) == field


def test_a_level_is_the_priority_and_parsed_fields_are_fields() -> None:
    sent = batch([b"x", b"y"], stream=Stream.STDERR)
    sent.levels = bytes([Level.CRITICAL, 0])
    sent.fields = [
        b'{"status":500,"http":{"path":"a\\nb"},"PRIORITY":9,"container_name":"x","_SYSTEMD_UNIT":"u","9":1}',
        None,
    ]
    first, second = map(read_fields, entries(sent, full_id=False))
    assert (first[b"PRIORITY"], second[b"PRIORITY"]) == (b"2", b"3")
    assert {name: first[name] for name in first.keys() - second.keys()} == {
        b"STATUS": b"500",
        b"HTTP_PATH": b"a\nb",
        b"FIELDS_PRIORITY": b"9",
        b"FIELDS_CONTAINER_NAME": b"x",
        b"SYSTEMD_UNIT": b"u",
    }
