"""The level in parsed fields. The lines are the documented shapes of each library, unless another source is named."""

from __future__ import annotations

import pytest

from agent.level import Level
from agent.pipeline.parse.grade import Grade
from tests.pipeline.parse.lines import parsed


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"level":30,"time":1795414426489,"pid":1,"hostname":"a","msg":"x"}', Level.INFO),  # pino
        (b'{"name":"a","hostname":"b","pid":1,"level":50,"msg":"x","time":"","v":0}', Level.ERROR),  # bunyan
        (b'{"level":60,"msg":"x"}', Level.CRITICAL),
        (b'{"level":"warn","message":"x"}', Level.WARNING),  # winston
        (rb'{"level":"\u001b[31merror\u001b[39m","message":"x"}', Level.ERROR),  # winston, coloured
        (b'{"level":"dpanic","ts":1795414426.489,"caller":"a.go:1","msg":"x"}', Level.CRITICAL),  # zap
        (b'{"level":"warning","msg":"x","time":"2026-11-23T06:13:46Z"}', Level.WARNING),  # logrus
        (b'{"time":"2026-11-23T06:13:46Z","level":"WARN","msg":"x"}', Level.WARNING),  # Go slog
        (b'{"@timestamp":"","@version":"1","level":"ERROR","level_value":40000}', Level.ERROR),  # logback
        (
            b'{"@timestamp":"","log.level":"INFO","ecs.version":"1.2.0","message":"x"}',
            Level.INFO,
        ),  # ECS, flat
        (b'{"@timestamp":"","log":{"level":"info"},"message":"x"}', Level.INFO),  # ECS, nested
        (
            b'{"instant":{"epochSecond":1},"thread":"m","level":"FATAL","message":"x"}',
            Level.CRITICAL,
        ),  # log4j2
        (b'{"event":"x","level":"info","timestamp":""}', Level.INFO),  # structlog
        (b'{"asctime":"","levelname":"CRITICAL","message":"x"}', Level.CRITICAL),  # python-json-logger
        (b'{"levelno":30,"message":"x"}', Level.WARNING),  # Python's own numbers
        (b'{"text":"x","record":{"level":{"name":"INFO","no":20}}}', 0),  # loguru: `level=record.level.name`
        (b'{"@t":"","@mt":"x","@l":"Warning"}', Level.WARNING),  # Serilog, compact
        (b'{"@t":"","@mt":"x"}', Level.INFO),  # likewise: without @l it is an information
        (b'{"Timestamp":"","Level":"Fatal","MessageTemplate":"x"}', Level.CRITICAL),  # Serilog
        (b'{"EventId":0,"LogLevel":"Information","Category":"a","Message":"x"}', Level.INFO),  # .NET console
        (b'{"severity":"NOTICE","message":"x"}', Level.NOTICE),  # Google Cloud
        (b'{"severity":"DEFAULT","message":"x"}', 0),
        (b'{"message":"x","level":400,"level_name":"ERROR","channel":"app"}', Level.ERROR),  # Monolog
        (b'{"message":"x","level":250}', Level.NOTICE),
        (b'{"t":{"$date":""},"s":"W","c":"NETWORK","id":1,"ctx":"a","msg":"x"}', Level.WARNING),  # MongoDB
        (b'{"t":{"$date":""},"s":"D2","c":"NETWORK"}', Level.DEBUG),
        (b'{"s":"warning"}', 0),
        (
            b'{"timestamp":"","pid":1,"error_severity":"LOG","message":"x"}',
            Level.INFO,
        ),  # PostgreSQL 15 jsonlog
        (b'{"error_severity":"FATAL"}', Level.CRITICAL),
        (b'{"severityNumber":17,"body":"x"}', Level.ERROR),  # OpenTelemetry
        (b'{"severity_text":"Error","severity_number":17}', Level.ERROR),
        (b'{"PRIORITY":"3","MESSAGE":"x"}', Level.ERROR),  # journald
        (b'{"priority":"6"}', Level.INFO),
        (b'{"severity":3}', Level.ERROR),
        (b'{"severity":0}', Level.EMERGENCY),
        (b'{"severity":7}', Level.DEBUG),
        (b'{"lvl":"eror","t":"","msg":"x"}', Level.ERROR),  # log15
        (b'{"level":"E"}', Level.ERROR),
        (b'{"level":" Error "}', Level.ERROR),
        (b'{"@level":"info","@message":"x","@module":"agent"}', Level.INFO),  # hclog
        # What tells nothing.
        (b'{"level":3}', 0),  # syslog's error to GELF, debug to logr
        (b'{"level":"high"}', 0),
        (b'{"level":true,"severity":true}', 0),
        (b'{"level":null}', 0),
        (b'{"level":["error"],"severity":{"error":1}}', 0),
        (b'{"level":""}', 0),
        (b'{"level":30.5}', 0),
        (b'{"level":1e30}', 0),
        (b'{"level":"' + b"9" * 5000 + b'"}', 0),
        ('{"level":"٣"}'.encode(), 0),
        (b'{"msg":"error"}', 0),
        (b"{}", 0),
    ],
    ids=lambda value: value.decode()[:40] if isinstance(value, bytes) else None,
)
def test_the_usual_fields_tell_it(line: bytes, wanted: int) -> None:
    """By the names and numbers of the libraries that are used most; alone, and behind another line."""
    assert parsed("json", line).levels == (bytes([wanted]) if wanted else None)
    assert parsed("json", b'{"level":"debug"}', line).levels == bytes([Level.DEBUG, wanted])


def test_the_first_name_that_tells_one_counts() -> None:
    """In the order of the documentation, not of the line."""
    lines = (
        b'{"severity":"error","level":"info"}',
        b'{"level":"?","severity":"error"}',
        b'{"severity":"error"}',
        b'{"level":[],"severity":"error"}',
    )
    assert parsed("json", *lines).levels == bytes([3, 6, 6, 6])
    for row, line in enumerate(lines):
        assert parsed("json", line).levels == bytes([[3, 6, 6, 6][row]])


def test_a_field_that_is_asked_for_is_the_only_one() -> None:
    """Dotted names are those of the object within, too; its numbers may be syslog's."""
    lines = (b'{"my":{"grade":"warn"},"level":"error"}', b'{"my.grade":3}', b'{"level":"error"}', b'{"my":1}')
    assert parsed("json;level=my.grade", *lines).levels == bytes([5, 6, 0, 0])
    assert parsed("json;level=level", b'{"level":3}', b'{"level":50}').levels == bytes([6, 6])


def test_none_is_looked_for_if_off() -> None:
    """The fields stay."""
    found = parsed("json;level=off", b'{"level":"error"}')
    assert (found.levels, found.fields) == (None, [b'{"level":"error"}'])


def test_any_format_has_levels() -> None:
    """They are of the fields, wherever these come from."""
    assert parsed("logfmt", b"ts=x lvl=eror msg=y").levels == bytes([6])
    assert parsed(r"regex=\[(?P<severity>\w+)\]", b"a [Warning] b").levels == bytes([5])


def test_not_every_word_is_remembered() -> None:
    """What a container writes does not grow in memory."""
    grade = Grade()
    words = [" " * before + "error" + " " * behind for before in range(36) for behind in range(36 - before)]
    for word in words * 3:
        assert grade([{"level": word}]) == bytes([Level.ERROR])
    for number in range(5_000):
        assert grade([{"level": f"none {number}"}]) is None
    assert len(grade._known) <= 1_000
