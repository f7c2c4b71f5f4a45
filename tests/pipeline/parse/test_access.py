"""Access logs. The lines of nginx are those of nginx 1.22.1 (Debian 12) asked by curl; Apache's are its manual's."""

from __future__ import annotations

import pytest

from tests.pipeline.parse.lines import fields, parsed

TIME = "23/Nov/2026:16:45:14 +0000"


@pytest.mark.parametrize("rule", ["clf", "nginx"])
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            b'127.0.0.1 - - [23/Nov/2026:16:45:14 +0000] "GET / HTTP/1.1" 200 3 "-" "curl/7.88.1"',
            {
                "client": "127.0.0.1",
                "time": TIME,
                "method": "GET",
                "target": "/",
                "protocol": "HTTP/1.1",
                "status": 200,
                "bytes": 3,
                "user_agent": "curl/7.88.1",
            },
        ),
        (
            (
                b'127.0.0.1 - - [23/Nov/2026:16:45:14 +0000] "GET /missing%20x?y=1 HTTP/1.1" 404 153 '
                rb'"https://example.com/a?b=c" "Mozilla/5.0 \x22quoted\x22 \x5C back"'
            ),
            {
                "client": "127.0.0.1",
                "time": TIME,
                "method": "GET",
                "target": "/missing%20x?y=1",
                "protocol": "HTTP/1.1",
                "status": 404,
                "bytes": 153,
                "referer": "https://example.com/a?b=c",
                "user_agent": r"Mozilla/5.0 \x22quoted\x22 \x5C back",
            },
        ),
        (
            b'127.0.0.1 - bob b [23/Nov/2026:16:45:14 +0000] "GET / HTTP/1.1" 200 3 "-" "-"',
            {
                "client": "127.0.0.1",
                "user": "bob b",
                "time": TIME,
                "method": "GET",
                "target": "/",
                "protocol": "HTTP/1.1",
                "status": 200,
                "bytes": 3,
            },
        ),
        (
            rb'127.0.0.1 - - [23/Nov/2026:16:45:14 +0000] "\x16\x03\x01\x00\xFF" 400 157 "-" "-"',
            {
                "client": "127.0.0.1",
                "time": TIME,
                "request": r"\x16\x03\x01\x00\xFF",
                "status": 400,
                "bytes": 157,
            },
        ),
        (  # the format `main` of nginx's own image, and what others put behind it
            b'10.0.0.1 - - [23/Nov/2026:16:45:14 +0000] "GET / HTTP/1.1" 200 3 "-" "curl" "192.0.2.7" rt=0.004',
            {
                "client": "10.0.0.1",
                "time": TIME,
                "method": "GET",
                "target": "/",
                "protocol": "HTTP/1.1",
                "status": 200,
                "bytes": 3,
                "user_agent": "curl",
                "forwarded_for": "192.0.2.7",
                "rest": "rt=0.004",
            },
        ),
        (  # Apache: common, and %v:%p before it
            b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 304 -',
            {
                "client": "127.0.0.1",
                "user": "frank",
                "time": "10/Oct/2000:13:55:36 -0700",
                "method": "GET",
                "target": "/apache_pb.gif",
                "protocol": "HTTP/1.0",
                "status": 304,
            },
        ),
        (
            rb'www.example.com:443 ::1 - - [10/Oct/2000:13:55:36 -0700] "GET /\"x\" HTTP/1.0" 200 1 "-" "a \"b\""',
            {
                "virtual_host": "www.example.com:443",
                "client": "::1",
                "time": "10/Oct/2000:13:55:36 -0700",
                "request": r"GET /\"x\" HTTP/1.0",
                "status": 200,
                "bytes": 1,
                "user_agent": r"a \"b\"",
            },
        ),
    ],
)
def test_a_request_becomes_fields(rule: str, line: bytes, wanted: object) -> None:
    """What is `-` is left out, status and size are numbers."""
    assert fields(rule, line) == wanted


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"plain",
        b'127.0.0.1 - - [now] "GET / HTTP/1.1"',
        b'127.0.0.1 - - now "GET / HTTP/1.1" 200 3',
        b'127.0.0.1 - - [now] "GET / HTTP/1.1" abc 3',
        b'127.0.0.1 - - [now] "GET / HTTP/1.1" 200 3tail',
    ],
)
def test_another_line_stays_plain(line: bytes) -> None:
    """Half of it is none."""
    assert parsed("clf", line).fields is None


def test_the_status_is_a_level_if_asked() -> None:
    """2xx and 3xx are info, 4xx warnings, 5xx errors; without being asked an access log has no levels."""
    line = b'127.0.0.1 - - [x] "GET / HTTP/1.1" %d 3'
    lines = [line % status for status in (200, 304, 404, 503, 999)]
    assert parsed("clf;level=status", *lines).levels == bytes([3, 3, 5, 6, 0])
    assert parsed("clf", *lines).levels is None


def test_its_time_is_the_record_s_if_asked() -> None:
    """The Engine's stays for the id."""
    found = parsed("clf;time=time", b'::1 - - [23/Nov/2026:16:45:14 +0100] "GET / HTTP/1.1" 200 3')
    assert found.rfc3339() == [b"2026-11-23T15:45:14.000000000Z"]


@pytest.mark.parametrize("piece", [b'"', rb"\"", b'"\\', b"1:", b"[", b"] ", b" ", b"a b ", b'" "'])
def test_no_line_takes_long(piece: bytes) -> None:
    """Whatever it repeats, wherever."""
    for before in (b"", b"a - - [", b'a - - [t] "', b'a - - [t] "GET / HTTP/1.1" 200 3 "'):
        assert parsed("nginx", (before + piece * 65_536)[:65_536]).messages
