r"""Levels of plain text.

Lines marked "run" were written by these programs: nginx 1.22.1, PostgreSQL 15.18, Redis 7.0.15, PHP 8.2, Ruby 3.1's
Logger, Java 17's java.util.logging, Python 3.11's logging, Go 1.19's log, the kernel. The others are the documented
shapes of each.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.level import Level
from agent.pipeline.levels import LEVELS, REACH, Levels, levels_of
from tests.pipeline.steps import Tallied, batch

TOLD = r"""
error      <3>systemd: the disk is bad
notice     <5>[    0.000000] Linux version 6.18.44 (builder@host) #1 SMP                                     run
emergency  <0>x
critical   <34>Oct 11 22:14:15 mymachine su: 'su root' failed
error      2026/11/23 16:45:14 [error] 18632#18632: *2 open() "/www/missing x" failed (2: No such file)      run
notice     2026/11/23 16:45:14 [notice] 18632#18632: using the "epoll" event method                          run
info       2026-11-23 16:45:16.333 UTC [18702] LOG:  listening on Unix socket "/tmp/.s.PGSQL.5432"            run
error      2026-11-23 16:45:18.390 UTC [18711] ERROR:  column "nosuch" does not exist at character 8         run
warning    2026-11-23 16:45:18.439 UTC [18713] WARNING:  careful                                             run
critical   2026-11-23 16:45:18.491 UTC [18715] FATAL:  database "nodb" does not exist                        run
debug      2026-11-23 16:45:18.491 UTC [18715] shop@shop DEBUG1:  x
warning    PHP Warning:  Undefined variable $x in Command line code on line 1                                run
critical   PHP Fatal error:  Uncaught ArgumentCountError: strpos() expects at least 2 arguments              run
warning    [23-Nov-2026 16:45:14 UTC] PHP Warning:  Undefined variable $x in /app/a.php on line 3
notice     [23-Nov-2026 06:13:46] NOTICE: fpm is running, pid 1
info       I, [2026-11-23T16:44:42.065462 #17557]  INFO -- : started                                         run
warning    W, [2026-11-23T16:44:42.065497 #17557]  WARN -- : low                                             run
error      E, [2026-11-23T16:44:42.065504 #17557] ERROR -- : boom                                            run
critical   F, [2026-11-23T16:44:42.065509 #17557] FATAL -- : gone                                            run
debug      D, [2026-11-23T16:44:42.065513 #17557] DEBUG -- : x                                               run
info       INFO: started                                                                                     run
error      SEVERE: boom                                                                                      run
info       2026-11-23 16:44:44 INFO [shop.Orders] started                                                    run
error      2026-11-23 16:44:44 SEVERE [shop.Orders] boom                                                     run
info       INFO:root:started                                                                                 run
error      ERROR:shop.orders:boom                                                                            run
critical   CRITICAL:shop:gone                                                                                run
info       2026-11-23 16:44:45,642 - root - INFO - started                                                   run
error      2026-11-23 16:44:45,642 - shop.orders - ERROR - boom                                              run
critical   2026-11-23 16:44:45,642 - shop - CRITICAL - gone                                                  run
info       2026-11-23 16:44:45,642 INFO     [MainThread] root:5 started                                      run
critical   2026-11-23 16:44:45,642 CRITICAL [MainThread] shop:5 gone                                         run
error      [ERROR] boom                                                                                      run
error      2026/11/23 16:45:19 ERROR plain                                                                   run
info       [INFO] 2026/11/23 16:45:19 hello                                                                  run
error      E1123 06:13:46.489123       1 main.go:10] failed to list
info       I1123 06:13:46.489123       1 main.go:10] ERROR in a message
info       time="2026-11-23T06:13:46Z" level=info msg="ERROR in a message"
error      ts=2026-11-23T06:13:46.489Z caller=main.go:10 level=error msg=x
warning    t=2026-11-23T06:13:46+0000 lvl=warn msg=x
error      t=2026-11-23T06:13:46+0000 lvl=eror msg=x
info       2026-11-23T06:13:46.489Z\tinfo\tmain.go:10\thello
error      2026-11-23T06:13:46.489Z\tERROR\tmain.go:10\thello
info       INFO[0000] started                                 component=api
info       2026-11-23 06:13:46.489  INFO 1 --- [           main] c.x.Y : Started
info       2026-11-23T06:13:46.489Z  WARNED 1 INFO
warning    06:13:46.123 [http-nio-8080-exec-1] WARN  com.x.Y - msg
info       [main] INFO com.x.Y - msg
info       23-Nov-2026 06:13:46.489 INFO [main] org.apache.catalina.startup.Catalina.start Server startup
info       [2026-11-23 06:13:46,123] INFO [KafkaServer id=1] started (kafka.server.KafkaServer)
info       [2026-11-23T06:13:46,123][INFO ][o.e.n.Node               ] [node-1] started
info       INFO:     127.0.0.1:1234 - "GET / HTTP/1.1" 200 OK
info       [2026-11-23 06:13:46 +0000] [1] [INFO] Booting worker with pid: 1
info       [2026-11-23 06:13:46,123: INFO/MainProcess] celery@host ready.
error      [23/Nov/2026 06:13:46] ERROR [django.request:241] Internal Server Error: /
info       2026-11-23 06:13:46.489 | INFO     | module:func:1 - msg
info       2026-11-23 06:13:46.489|INFO|Shop.Orders|msg
info       [06:13:46 INF] Now listening on: http://[::]:8080
warning    2026-11-23T06:13:46.489Z [WRN] x
info       [1] 2026/11/23 06:13:46.489 [INF] Starting nats-server
info       info: Microsoft.Hosting.Lifetime[0]
error      fail: Microsoft.AspNetCore.Server.Kestrel[13]
critical   crit: x
debug      dbug: x
warning    2026-11-23T06:13:46.123456Z 0 [Warning] [MY-010068] [Server] CA certificate is self signed
notice     2026-11-23  6:13:46 0 [Note] mysqld: ready for connections.
error      [Mon Nov 23 06:13:46.123456 2026] [php7:error] [pid 1] [client 10.0.0.1:1] x
error      2026.11.23 06:13:46.489 [ 1 ] {} <Error> Application: x
info       2026-11-23T06:13:46.489Z [INFO]  agent: Started
info       2026-11-23 06:13:46.489 [info] <0.222.0> Server startup complete
error      06:13:46.489 [error] GenServer terminating
error      =ERROR REPORT==== 23-Nov-2026::06:13:46 ===
notice     [NOTICE]   (1) : New worker (8) forked
warning    [WARNING] 326/061346 (1) : Server x is DOWN
error      npm ERR! code ELIFECYCLE
warning    npm WARN deprecated x@1.0.0
error      Error: Cannot find module './x'
error      Nov 23 06:13:46 host app[12]: ERROR: x
info       [2026-11-23T06:13:46Z INFO  shop::orders] msg
info       \x1b[2m2026-11-23T06:13:46.489Z\x1b[0m \x1b[32m INFO\x1b[0m shop: msg
error      \x1b[31m[ERROR]\x1b[0m x
critical   panic: runtime error: index out of range
warning    {"time":"2026-11-23T06:13:46Z","level":"warn","msg":"error"}
info       {"level":30,"time":1795414426489,"msg":"x"}
info       {"time": "2026", "message": "Something happened", "levelname": "INFO"}
warning    {"@t":"2026","@mt":"x","@l":"Warning"}
"""
UNTOLD = r"""
an error occurred: x
no ERROR found
Retrying after ERROR from upstream
2026-11-23 06:13:46 Retrying after ERROR from upstream
172.17.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /error HTTP/1.0" 500 23 "-" "ERROR"
17778:C 23 Nov 2026 16:44:45.686 # Configuration loaded                                                      run
2026-11-23 16:45:18.390 UTC [18711] STATEMENT:  select nosuch                                                run
Nov 23, 2026 4:44:43 PM L main                                                                               run
2026/11/23 16:45:19 started                                                                                  run
#0 Command line code(1): strpos()                                                                            run
GET /ERROR
INFORMED: yes
errors: 0
error
level=high
level: 5
<999>x
<b>ERROR</b>
    at com.example.Errors.error(Errors.java:10)
    raise ERROR
Traceback (most recent call last):
ValueError: [x]
java.lang.Error: x
{"msg":"error","level":3}
{"level":{"error":1}}
the [error] of it

"""


def sample(line: str) -> bytes:
    """A line of the tables, as it was written."""
    return line.removesuffix("run").rstrip().encode().decode("unicode_escape").encode()


@pytest.mark.parametrize("line", TOLD.strip().splitlines())
def test_a_level_is_found_where_programs_put_it(line: str) -> None:
    """Of the words before the message the first counts."""
    wanted, _, text = line.partition(" ")
    assert levels_of([sample(text.lstrip())]) == bytes([Level[wanted.upper()]])


@pytest.mark.parametrize("line", UNTOLD.strip("\n").splitlines())
def test_in_doubt_there_is_none(line: str) -> None:
    """Messages may speak of errors; continued lines have no level of their own."""
    assert levels_of([sample(line)]) == bytes([0])


def test_only_the_beginning_is_looked_at() -> None:
    """And of a joined record its first line."""
    assert levels_of([b"1 " * REACH + b"ERROR x", b"1\nERROR x", b"[main]\n[ERROR]"]) == bytes(3)


def test_each_line_is_looked_at_by_itself() -> None:
    """Also beside one with colours."""
    assert levels_of([b"\x1b[31mERROR\x1b[0m x", b"x", b"[warn] y", b""]) == bytes([6, 0, 5, 0])


def test_what_is_known_stays() -> None:
    """Fields know better."""
    known = batch(b"ERROR x", b"ERROR y", b"z", levels=bytes([3, 0, 0]))
    found = Levels.AUTO.step(Tallied())(known)
    assert (found.levels, known.levels) == (bytes([3, 6, 0]), bytes([3, 0, 0]))


def test_a_batch_without_news_is_the_same_batch() -> None:
    """With its encodings; one with news has none."""
    find = Levels.AUTO.step(Tallied())
    for same in (
        batch(b"x", b"y"),
        batch(b"ERROR x", levels=bytes([3])),
        batch(b"x", levels=bytes([0])),
        batch(),
    ):
        assert find(same) is same
    assert find(replace(batch(b"ERROR x"), encoded={"ndjson": b"old"})).encoded == {}


@pytest.mark.parametrize("text", ["auto", "off"])
def test_what_is_shown_can_be_typed(text: str) -> None:
    """And `off` is no step."""
    rule = LEVELS.parse(f" {text.upper()} ")
    assert (LEVELS.show(rule), bool(rule)) == (text, text == "auto")


def test_what_is_wrong_is_said() -> None:
    """A level is what `min_level` takes."""
    with pytest.raises(ValueError, match=r"^auto or off$"):
        LEVELS.parse("warning")


@given(
    st.lists(
        st.binary(max_size=200) | st.text('[]<>=:|\t \x1b\n{}"eErRoOlLvV10,', max_size=200).map(str.encode)
    )
)
def test_any_lines_have_levels(lines: list[bytes]) -> None:
    """One each, the same as alone."""
    found = levels_of(lines)
    assert set(found) <= {0, *Level}
    assert found == b"".join(levels_of([line]) for line in lines)


@pytest.mark.parametrize(
    "piece", [b"a1 ", b"[", b"][", b"1 a ", b"level=", b"\x1b[", b'{"level":', b"Mon ", b"=*<("]
)
def test_no_line_takes_long(piece: bytes) -> None:
    """A megabyte of whatever: only its beginning is read. The test's own time limit is the proof."""
    line = (piece * (1 << 20))[: 1 << 20]
    assert levels_of([line] * 200) == bytes(200)
