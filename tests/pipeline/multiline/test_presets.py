"""The traces of real programs come out whole, and nothing else is joined."""

from __future__ import annotations

import re

import pytest

from agent.pipeline.multiline.presets import PRESETS
from tests.pipeline.multiline.feeding import TRACES, joined, language, trace

BEFORE, AFTER = b"GET /health HTTP/1.1 200", b"2026-11-23 06:13:47,001 INFO [main] next order"
#: So that the longest trace here is one record.
BOUNDS = "max_lines=2000;max_bytes=1MiB"
each_trace = pytest.mark.parametrize("name", TRACES)
each_way = pytest.mark.parametrize("auto", [False, True], ids=["own", "auto"])


def rule(name: str, *, auto: bool) -> str:
    return f"{'auto' if auto else language(name)};{BOUNDS}"


@each_trace
@each_way
def test_a_trace_is_one_record(name: str, *, auto: bool) -> None:
    """All of it, byte for byte, by its own preset and by all of them."""
    assert joined(rule(name, auto=auto), trace(name)) == [b"\n".join(trace(name))]


@each_trace
@each_way
def test_two_traces_in_a_row_are_two_records(name: str, *, auto: bool) -> None:
    """The second begins where the first ends."""
    whole = b"\n".join(trace(name))
    assert joined(rule(name, auto=auto), trace(name) * 2) == [whole, whole]


@each_trace
@each_way
def test_ordinary_lines_around_a_trace_are_not_joined(name: str, *, auto: bool) -> None:
    """Neither the one before nor the one behind."""
    lines = [BEFORE, *trace(name), AFTER, *trace(name), AFTER, BEFORE]
    whole = b"\n".join(trace(name))
    assert joined(rule(name, auto=auto), lines) == [BEFORE, whole, AFTER, whole, AFTER, BEFORE]


@each_trace
def test_where_batches_end_does_not_matter(name: str) -> None:
    """Nor whether the agent is started anew there."""
    lines = [BEFORE, *trace(name)[:120], AFTER]
    asked = rule(name, auto=False)
    whole = joined(asked, lines)
    assert joined(asked, lines, range(1, len(lines))) == whole
    for border in range(1, len(lines)):
        assert joined(asked, lines, [border]) == whole
        assert joined(asked, lines, [border], restart=True) == whole


@each_trace
def test_colours_and_carriage_returns_do_not_matter(name: str) -> None:
    """They stay in the message."""
    coloured = [re.sub(rb"(\w+)", b"\x1b[1;31m\\1\x1b[0m", line) for line in trace(name)]
    lines = [(old if b"\x1b" in old else new) + b"\r" for old, new in zip(trace(name), coloured, strict=True)]
    assert joined(rule(name, auto=False), lines) == [b"\n".join(lines)]


ORDINARY = {
    "nginx": b"""\
192.0.2.17 - - [23/Nov/2026:06:13:46 +0000] "GET /api/v1/orders?page=3 HTTP/1.1" 200 5316 "-" "Mozilla/5.0"
192.0.2.17 - - [23/Nov/2026:06:13:46 +0000] "GET /error HTTP/1.1" 500 0 "-" "curl/8.5.0"
2026/11/23 06:13:46 [error] 29#29: *1 open() "/usr/share/nginx/html/x" failed (2: No such file or directory)
2026/11/23 06:13:46 [warn] 29#29: *1 an upstream response is buffered to a temporary file""",
    "json": b"""\
{"level":"error","msg":"panic: x","stack":"Traceback (most recent call last):\\n  File"}
{"level":"info","error":"java.lang.IllegalStateException: order"}
{"level":"fatal"}""",
    "logfmt": b"""\
time=2026-11-23T06:13:46Z level=error msg="cannot order" err="goroutine 1 [running]"
time=2026-11-23T06:13:46Z level=warn msg="at com.acme.Orders"
ts=2026-11-23T06:13:46Z caller=main.go:12 level=info msg=done""",
    "syslog": b"""\
Nov 23 06:13:46 node sshd[812]: error: maximum authentication attempts exceeded for root
Nov 23 06:13:46 node kernel: [12.1] usb 1-1: new high-speed USB device number 2 using xhci_hcd
Nov 23 06:13:47 node CRON[913]: (root) CMD (run-parts /etc/cron.hourly)""",
    "yaml": b"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: orders
  labels:
    app: orders
data:
  error: "no"
  items:
    - Error: one
      at: two
    - warn: three""",
    "levels": b"""\
2026-11-23 06:13:46.489  INFO 1 --- [main] com.acme.Orders : Started in 2.1 seconds
2026-11-23 06:13:46.489  WARN 1 --- [main] com.acme.Orders : slow: 12 ms
2026-11-23 06:13:46.489 ERROR 1 --- [main] com.acme.Orders : cannot order
2026-11-23 06:13:46.490 ERROR 1 --- [main] com.acme.Orders : java.lang.IllegalStateException: order
2026-11-23 06:13:46.491 DEBUG 1 --- [main] com.acme.Orders : again
INFO:     192.0.2.17:55066 - "GET / HTTP/1.1" 200 OK
ERROR:    application startup failed
[2026-11-23 06:13:46 +0000] [7] [INFO] Booting worker with pid: 7
WARNING: All illegal access operations will be denied in a future release
Error: connection lost
Server: ready
E, [2026-11-23T06:13:46.195143 #7] ERROR -- : item 0 (OutOfStock)
I, [2026-11-23T06:13:46.195143 #7]  INFO -- : done""",
    "sql": b"""\
2026-11-23 06:13:46.489 UTC [71] ERROR:  duplicate key value violates unique constraint "orders_pkey"
2026-11-23 06:13:46.489 UTC [71] DETAIL:  Key (id)=(4711) already exists.
2026-11-23 06:13:46.489 UTC [71] STATEMENT:  insert into orders
\t  values (4711);
2026-11-23 06:13:47.001 UTC [71] LOG:  checkpoint starting: time""",
    "blanks": b"""\
first

  second

\tthird
Error in the third

fourth""",
    "code": b"""\
    return Finding(False, str(error))
    at = version.name
    File "x.py" is missing, error 7
error: at
    at: 3
panic(err)
throw new Error("x");
#0 is the first
/var/run/docker.sock
Caused by: nobody""",
    "tables": b"""\
==================================================
 order | shelf
-------+------
  4711 |     9
(1 row)
^
+---+
| a |
+---+""",
}


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("preset", [*PRESETS, "auto"])
def test_nothing_else_is_joined(name: str, preset: str) -> None:
    """Whatever the words in it."""
    lines = ORDINARY[name].split(b"\n")
    assert joined(preset, lines) == lines


@each_trace
def test_another_language_s_traces_do_no_harm(name: str) -> None:
    """What a preset does not know may be left in lines; none is lost, and what stands between stays apart."""
    lines = [AFTER, *trace(name), AFTER, *trace(name), AFTER]
    for preset in PRESETS:
        records = joined(f"{preset};{BOUNDS}", lines)
        assert b"\n".join(records).split(b"\n") == lines
        assert records.count(AFTER) == 3
