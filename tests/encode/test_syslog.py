"""A syslog message is what the grammar of its RFC reads in it."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch, Container, Stream
from agent.encode.syslog import FACILITIES, Style, counted, lines, messages, shortened
from agent.level import Level
from tests.receivers.sent import START_NS, batch, container, expected
from tests.receivers.syslog import SyslogTcp, read_message

NEWER, OLDER = Style(), Style(rfc="3164")


@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(max_size=300)), max_size=6))
def test_each_message_has_its_time_and_its_text(rows: list[tuple[int, bytes]]) -> None:
    sent = Batch(container(), Stream.STDERR, [stamp for stamp, _ in rows], [text for _, text in rows])
    got = [read_message(message) for message in messages(sent, NEWER)]
    assert [(each.timestamp_ns, each.message, each.id, each.stream) for each in got] == [
        (each.timestamp_ns // 1000 * 1000, each.message, each.id, "stderr") for each in expected([sent])
    ]


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(0, 2000))
def test_framed_by_their_length_they_come_apart_again(texts: list[bytes], cut: int) -> None:
    """Wherever the stream is cut on its way."""
    column = messages(batch(texts), NEWER)
    stream, receiver = counted(column), SyslogTcp()
    first, rest = receiver.split(stream[:cut])
    second, end = receiver.split(rest + stream[cut:])
    assert (first + second, end) == (column, b"")


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_framed_by_a_newline_each_is_one_line(texts: list[bytes]) -> None:
    """And no null byte is left, which syslog-ng takes for an end, too."""
    column = messages(batch(texts), OLDER)
    stream = lines(column)
    assert stream.count(b"\n") == len(column)
    assert b"\0" not in stream
    written = [message.replace(b"\n", b"#012").replace(b"\0", b"#000") for message in column]
    assert stream == b"".join(message + b"\n" for message in written)


def test_the_header_is_that_of_docker_s_driver() -> None:
    """Tag as APP-NAME and MSGID, a process as PROCID, facility daemon, severity info."""
    (message,) = messages(batch([b"hello"]), NEWER)
    head = f"<30>1 2026-11-23T06:13:46.489633Z node-1 web {os.getpid()} web [docker@32473 "
    assert message.decode().startswith(head)
    assert message.endswith(b'"] hello')


def test_what_docker_s_driver_has_no_place_for_is_structured_data() -> None:
    sent = Batch(
        Container(
            id="0" * 64,
            name="a",
            image="i:1",
            tag="t",
            host="h",
            image_id="sha256:1",
            labels={"q": 'a"b\\c]d', "container_id": "no", "": "no"},
            env={"q": "no", "é €": "ü", "EMPTY": "", "A" * 40 + "-b": "end"},
        ),
        Stream.STDOUT,
        [START_NS],
        [b""],
        truncated=frozenset([0]),
    )
    (message,) = messages(sent, NEWER)
    pairs = [
        'stream="stdout"',
        f'container_id="{"0" * 64}"',
        'container_name="a" image_name="i:1" image_id="sha256:1"',
        r'q="a\"b\\c\]d"',
        '___="ü"',
        f'{"A" * 30}-b="end"',
        f'record_id="{"0" * 20}o{START_NS}" truncated="true"',
    ]
    assert message.decode().partition("[")[2] == f"docker@32473 {' '.join(pairs)}] "


def test_without_structured_data_there_is_a_dash() -> None:
    (message,) = messages(batch([b"hello"], truncated=[0]), Style(sd_id=None))
    assert message.endswith(b" web - hello")


@pytest.mark.parametrize(
    ("tag", "app", "msgid", "older"),
    [
        ("", "-", "-", "-"),
        ("a b\té", "a_b__", "a_b__", "a_b__"),
        ("docker/web[1]:x", "docker/web[1]:x", "docker/web[1]:x", "docker/web_1__x"),
        (
            "0123456789" * 6,
            "23456789" + "0123456789" * 4,
            "89" + "0123456789" * 3,
            "23456789" + "0123456789" * 4,
        ),
    ],
)
def test_a_header_field_has_only_what_it_may(tag: str, app: str, msgid: str, older: str) -> None:
    sent = batch([b"x"], of=Container(id="0" * 64, name="n", image="i", tag=tag, host="a b"))
    assert messages(sent, NEWER)[0].split(b" ")[2:6] == [
        b"a_b",
        app.encode(),
        str(os.getpid()).encode(),
        msgid.encode(),
    ]
    assert messages(sent, OLDER)[0].endswith(f" a_b {older}[{os.getpid()}]: x".encode())


def test_the_older_form_has_the_sender_s_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3164, 4.1.2: local, without a year, the day without a leading zero."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        sent = batch([b"a", b"b"], start_ns=1_793_489_999_500_000_000)
        found = [message.decode() for message in messages(sent, OLDER)]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [re.sub(r"\[\d+\]", "[1]", each) for each in found] == [
        "<30>Nov  1 08:39:59 node-1 web[1]: a",
        "<30>Nov  1 08:39:59 node-1 web[1]: b",
    ]


def test_a_local_socket_s_reader_knows_the_host() -> None:
    (message,) = messages(batch([b"x"]), Style(rfc="3164", host=False))
    assert re.fullmatch(rb"<30>\w{3} [ \d]\d [\d:]{8} web\[\d+\]: x", message)


@pytest.mark.parametrize(
    ("style", "stream", "priority"),
    [
        (NEWER, Stream.STDOUT, b"<30>"),
        (NEWER, Stream.STDERR, b"<27>"),
        (Style(facility=FACILITIES.index("local7")), Stream.STDOUT, b"<190>"),
        (Style(rfc="3164", facility=0), Stream.STDERR, b"<3>"),
    ],
)
def test_the_priority_is_facility_and_severity(style: Style, stream: Stream, priority: bytes) -> None:
    assert messages(batch([b"x"], stream=stream), style)[0].startswith(priority)


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("hello", 5, "hello"),
        ("hello!", 5, "he..."),
        ("ééé", 5, "é..."),
        ("€uro", 5, "..."),
    ],
)
def test_a_cut_message_shows_it_and_has_no_half_character(text: str, most: int, short: str) -> None:
    assert shortened(text.encode(), most) == short.encode()
    assert len(short.encode()) <= most


def test_what_is_not_utf8_is_counted() -> None:
    sent = batch([b"fine", b"\xff"])
    assert messages(sent, OLDER)[1].endswith("\ufffd".encode())
    assert len(sent.undecodable) == 1


def test_two_styles_of_one_container_are_not_mixed_up() -> None:
    """Constants are kept with the container."""
    of = container()
    made = [
        messages(batch([b"x"], of=of, stream=stream), Style(sd_id=sd_id))[0]
        for sd_id in ("a@1", "b@2", None, "a@1")
        for stream in Stream
    ]
    assert [b"[a@1 stream" in message for message in made] == [True, True, *[False] * 4, True, True]
    assert [b'"stderr"' in message for message in made] == [
        False,
        True,
        False,
        True,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("style", "head"), [(NEWER, "<%d>1 2026"), (OLDER, "<%d>Nov")])
def test_a_known_level_is_the_severity_and_the_facility_stays(style: Style, head: str) -> None:
    sent = batch([b"x", b"y", b"z"], stream=Stream.STDERR)
    sent.levels = bytes([Level.EMERGENCY, 0, Level.DEBUG])
    user = replace(style, facility=FACILITIES.index("user"))
    for message, severity in zip(messages(sent, user), (0, 3, 7), strict=True):
        assert message.decode().startswith(head % (8 + severity))


def test_parsed_fields_are_structured_data() -> None:
    sent = batch([b"x", b"y"], truncated=[0])
    sent.fields = [b'{"status":500,"http":{"path":"a \\"b\\" ]"},"stream":"no","container_id":0}', None]
    first, second = messages(sent, NEWER)
    added = rb' status="500" http_path="a \"b\" \]" fields_stream="no" fields_container_id="0"'
    assert first.endswith(b'"' + added + b' truncated="true"] x')
    assert second.endswith(b'"] y')


def test_fields_that_would_make_a_message_too_long_are_left_out() -> None:
    """It would be refused, or cut, for what its text may tell anyway."""
    sent = batch([b"x", b"y"])
    plain = messages(sent, NEWER)
    sent.fields = [b'{"a":"12345"}', b'{"a":"123456"}']
    fits = replace(NEWER, most=len(plain[0]) + len(b' a="12345"'))
    assert [len(message) for message in messages(sent, fits)] == [fits.most, len(plain[1])]


@pytest.mark.parametrize("style", [OLDER, Style(sd_id=None)])
def test_without_structured_data_there_is_no_place_for_fields(style: Style) -> None:
    sent = batch([b"x"])
    plain = messages(sent, style)
    sent.fields = [b'{"a":1}']
    assert messages(sent, style) == plain
