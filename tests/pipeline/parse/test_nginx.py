"""nginx's error log, as nginx 1.22.1 (Debian 12) wrote it. Its access log: see test_access.py."""

from __future__ import annotations

import pytest

from agent.level import Level
from tests.pipeline.parse.lines import fields, parsed

FAILED = (
    b'2026/11/23 16:45:14 [error] 18632#18632: *2 open() "/www/missing x" failed (2: No such file or directory), '
    b'client: 127.0.0.1, server: , request: "GET /missing%20x?y=1 HTTP/1.1", host: "127.0.0.1:18080", '
    b'referrer: "https://example.com/a?b=c"'
)
REFUSED = (
    b"2026/11/23 16:45:14 [error] 18632#18632: *3 connect() failed (111: Connection refused) while connecting to "
    b'upstream, client: 127.0.0.1, server: shop, request: "GET /up HTTP/1.1", upstream: "http://127.0.0.1:1/up", '
    b'host: "shop.example"'
)
NOTICE = b'2026/11/23 16:45:14 [notice] 18632#18632: using the "epoll" event method'


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            FAILED,
            {
                "time": "2026/11/23 16:45:14",
                "level": "error",
                "pid": 18632,
                "tid": 18632,
                "connection": 2,
                "client": "127.0.0.1",
                "request": "GET /missing%20x?y=1 HTTP/1.1",
                "host": "127.0.0.1:18080",
                "referrer": "https://example.com/a?b=c",
                "message": 'open() "/www/missing x" failed (2: No such file or directory)',
            },
        ),
        (
            REFUSED,
            {
                "time": "2026/11/23 16:45:14",
                "level": "error",
                "pid": 18632,
                "tid": 18632,
                "connection": 3,
                "client": "127.0.0.1",
                "server": "shop",
                "request": "GET /up HTTP/1.1",
                "upstream": "http://127.0.0.1:1/up",
                "host": "shop.example",
                "message": "connect() failed (111: Connection refused) while connecting to upstream",
            },
        ),
        (
            NOTICE,
            {
                "time": "2026/11/23 16:45:14",
                "level": "notice",
                "pid": 18632,
                "tid": 18632,
                "message": 'using the "epoll" event method',
            },
        ),
    ],
)
def test_an_error_becomes_fields(line: bytes, wanted: object) -> None:
    """What is known of the connection stands by itself."""
    assert fields("nginx", line) == wanted


def test_both_logs_of_a_container_are_read() -> None:
    """nginx's image writes one to stdout, the other to stderr."""
    access = b'127.0.0.1 - - [23/Nov/2026:16:45:14 +0000] "GET / HTTP/1.1" 200 3 "-" "curl/7.88.1"'
    found = parsed("nginx", access, FAILED, NOTICE, b"else")
    assert found.fields is not None
    assert [text is not None for text in found.fields] == [True, True, True, False]
    assert found.levels == bytes([0, Level.ERROR, Level.NOTICE, 0])


def test_its_time_is_utc() -> None:
    """nginx writes local time without a zone; in a container that is UTC unless somebody changed it."""
    assert parsed("nginx;time=time", NOTICE).rfc3339() == [b"2026-11-23T16:45:14.000000000Z"]
