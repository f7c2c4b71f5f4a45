"""ROUTE_URIS and Logspout's other variables, as sinks and settings of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agent.compat import Peers
from agent.compat.route import route
from agent.demo import load as load_demo
from agent.engine.containers import ContainerFacts
from agent.errors import SettingsError
from agent.pipeline.multiline.rule import MULTILINE
from agent.selectors import selected
from agent.settings import Settings
from agent.show import config
from agent.sinks import parse_sink
from agent.sinks.base import Sink

SYSLOG = {"ROUTE_URIS": "syslog+tcp://logs.example.com:514"}


def understood(environ: Mapping[str, str], *urls: str) -> tuple[Settings, dict[str, Sink[Any]]]:
    """The settings, and the sinks by name: what `dockferry run` makes of them."""
    sinks: dict[str, Sink[Any]] = {}
    settings = Settings.load(
        environ, urls, accept=lambda name, url: sinks.update({name: parse_sink(name, url)})
    )
    return settings, sinks


def faults(environ: Mapping[str, str], *urls: str) -> list[str]:
    """The problems that they are refused for."""
    with pytest.raises(SettingsError) as caught:
        understood(environ, *urls)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("uri", "variables", "url"),
    [
        (
            "syslog://h:514",
            {},
            "syslog+udp://h:514?sd_id=-&facility=user&max_bytes=65507",
        ),
        (
            "syslog+tcp://h:514",
            {},
            "syslog+tcp://h:514?framing=newline&sd_id=-&facility=user&max_bytes=64KiB",
        ),
        (
            "syslog+tls://h:6514",
            {
                "SYSLOG_TCP_FRAMING": "octet-counted",
                "SYSLOG_PRIORITY": "{{ .Priority }}",
                "LOGSPOUT_TLS_CA_CERTS": "/ca.pem",
                "LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS": "true",
                "LOGSPOUT_TLS_CLIENT_CERT": "/us.pem",
                "LOGSPOUT_TLS_CLIENT_KEY": "/us.key",
            },
            (
                "syslog+tls://h:6514?ca=/ca.pem&cert=/us.pem&key=/us.key&framing=octets"
                "&sd_id=-&facility=user&max_bytes=64KiB"
            ),
        ),
        (
            "syslog://h:514",
            {"SYSLOG_STRUCTURED_DATA": "shop@32473"},
            "syslog+udp://h:514?sd_id=shop@32473&facility=user&max_bytes=65507",
        ),
        (
            "syslog+tcp://$LOGS:${PORT_}?facility=local0",
            {"LOGS": "l", "PORT_": "1514"},
            "syslog+tcp://l:1514?framing=newline&sd_id=-&facility=local0&max_bytes=64KiB",
        ),
        ("gelf://graylog:12201", {}, "gelf+udp://graylog:12201"),
        ("loki://loki:3100/loki/api/v1/push", {}, "loki+http://loki:3100"),
        ("fluentd://f:24224", {}, "fluent+tcp://f:24224"),
        ("kafka://k:9092/logs", {}, "kafka://k:9092/logs"),
        ("kafka://k:9092?topic=logs", {}, "kafka://k:9092/logs"),
        (
            "redis://r:6379?key=shop&mute_errors=true",
            {"REDIS_DATABASE": "2"},
            "redis://r:6379/2/shop?type=list",
        ),
        ("logstash+tcp://l:5000", {}, "tcp://l:5000"),
        ("gelf://g:12201?filter.name=*_db", {}, "gelf+udp://g:12201?select=name=*_db"),
        ("gelf://g:12201?filter.sources=stderr", {}, "gelf+udp://g:12201?keep_only=stream=stderr"),
        ("gelf://g:12201?filter.sources=stderr%2Cstdout", {}, "gelf+udp://g:12201"),
        ("gelf://g:12201?filter.id=3b6ba57db54a", {}, "gelf+udp://g:12201?select=id=3b6ba57db54a*"),
        (
            "gelf://g:12201?filter.labels=a:x*%2Cb:*y&filter.name=web-[^x]",
            {},
            "gelf+udp://g:12201?select=name=web-%5B!x%5D%26label=a=x*%26label=b=*y",
        ),
    ],
)
def test_a_uri_is_a_url(uri: str, variables: dict[str, str], url: str) -> None:
    """With what Logspout's variables say besides; and a sink can be made of it."""
    assert route(uri, variables).url == url
    parse_sink("x", url)


@pytest.mark.parametrize(
    ("uri", "variables", "problem"),
    [
        ("nope", {}, "it is no URI"),
        ("foo://h:1", {}, "the adapter 'foo' is not known here"),
        ("syslog+quic://h:1", {}, "the transport 'quic' is not one of udp, tcp, tls"),
        ("syslog://h:1", {"SYSLOG_FORMAT": "rfc1"}, "SYSLOG_FORMAT"),
        ("syslog+tcp://h:1", {"SYSLOG_TCP_FRAMING": "x"}, "SYSLOG_TCP_FRAMING"),
        ("syslog://h:1", {"SYSLOG_DATA": "token {{.Data}}"}, "SYSLOG_DATA"),
        ("syslog://h:1", {"SYSLOG_PRIORITY": "{{if x}}"}, "SYSLOG_PRIORITY"),
        ("syslog://h:1?structured_data=no-number", {}, "structured_data"),
        ("syslog+tls://h:1", {"LOGSPOUT_TLS_CA_CERTS": "/a,/b"}, "LOGSPOUT_TLS_CA_CERTS"),
        ("raw+tcp://h:1", {"RAW_FORMAT": "{{.Container.Name}} {{.Data}}"}, "RAW_FORMAT"),
        ("syslog://h:1?filter.sources=syslog", {}, "filter.sources"),
        ("syslog://[::1:1", {}, "its address cannot be read"),
    ],
)
def test_what_has_no_counterpart_is_told(uri: str, variables: dict[str, str], problem: str) -> None:
    """By the name of the variable or the option."""
    with pytest.raises(ValueError, match="^" + problem.split("'", maxsplit=1)[0]) as caught:
        route(uri, variables)
    assert problem in str(caught.value)


def test_no_secret_is_in_what_is_shown() -> None:
    """Neither in the URI as the log shows it, nor in a complaint."""
    assert route("redis://u:hush@r:6379?password=hush", {}).shown == "redis://r:6379"
    for uri in ("syslog+x://u:hush@h:1", "x://u:hush@h:1/hush?hush", "hush"):
        [problem] = faults({"ROUTE_URIS": uri})
        assert "hush" not in problem
        assert problem.startswith("ROUTE_URIS: ")


def test_uris_become_sinks_and_say_where_they_come_from() -> None:
    """Beside those of our own variables: one can move step by step."""
    uris = "syslog://a:514,syslog+tcp://b:514, gelf://c:12201"
    settings, sinks = understood({"ROUTE_URIS": uris, "DOCKFERRY_SINK_CONSOLE": "console:"})
    assert list(sinks) == ["console", "syslog", "syslog2", "gelf"]
    assert settings.routes == {
        "syslog": "syslog://a:514",
        "syslog2": "syslog+tcp://b:514",
        "gelf": "gelf://c:12201",
    }
    [line] = [line for line in config(settings) if line.startswith("DOCKFERRY_SINK_SYSLOG ")]
    assert line.split()[1:] == ["ROUTE_URIS", settings.urls["syslog"]]


def test_an_argument_is_a_uri_where_logspout_is_spoken() -> None:
    """`dockferry run syslog+tls://…`: what another program had as its command."""
    settings, sinks = understood(
        {"DOCKFERRY_COMPAT": "logspout"}, "syslog+tls://a:1,gelf://c:2", "console:", "loki+http://l:3100"
    )
    assert list(sinks) == ["syslog", "gelf", "console", "loki"]
    assert settings.origins["DOCKFERRY_SINK_SYSLOG"] == "command line"
    assert settings.urls["syslog"] != "syslog+tls://a:1"
    assert settings.urls["loki"] == "loki+http://l:3100"
    plain, _ = understood({}, "syslog+tls://a:1")
    assert plain.urls["syslog"] == "syslog+tls://a:1"


def test_without_its_variables_nothing_of_it_is_read() -> None:
    """PORT and DEBUG are anybody's."""
    settings, _ = understood({"PORT": "80", "DEBUG": "1", "BACKLOG": "true", "EXCLUDE_LABEL": "x"})
    assert set(settings.origins.values()) == {"default"}


def test_its_other_variables_are_settings() -> None:
    """Of which ours, where they are set, come first."""
    settings, _ = understood(
        SYSLOG
        | {
            "BACKLOG": "true",
            "PORT": "8000",
            "HTTP_BIND_ADDRESS": "127.0.0.1",
            "DEBUG": "true",
            "SYSLOG_TAG": '{{.ContainerName}}.{{index .Container.Config.Labels "tier"}}',
            "DOCKFERRY_LOG_LEVEL": "error",
        }
    )
    assert settings.backlog is None
    assert settings.http == ("127.0.0.1", 8000)
    assert settings.log_level == "error"
    assert str(settings.tag) == '{{.Name}}.{{index .Labels "tier"}}'
    assert settings.origins["DOCKFERRY_BACKLOG"] == "BACKLOG"
    assert settings.origins["DOCKFERRY_LOG_LEVEL"] == "environment"
    assert settings.compat.names == ("logspout",)
    assert understood(SYSLOG)[0].backlog == 0  # its code, whatever its README says


@pytest.mark.parametrize(
    ("variables", "labels", "left_out"),
    [
        ({}, {"logspout.exclude": "TRUE"}, True),
        ({}, {"logspout.exclude": "false"}, False),
        ({"EXCLUDE_LABEL": "quiet"}, {"quiet": "true"}, True),
        ({"EXCLUDE_LABEL": "quiet"}, {"logspout.exclude": "true"}, False),
        ({"EXCLUDE_LABELS": "k8s:app;backend:rails", "EXCLUDE_LABEL": "x"}, {"backend": "Rails"}, True),
        ({"EXCLUDE_LABELS": "k8s:app;backend:rails", "EXCLUDE_LABEL": "x"}, {"x": "true"}, False),
        ({"DOCKFERRY_EXCLUDE": "label=own"}, {"own": ""}, True),
        ({"DOCKFERRY_EXCLUDE": "label=own"}, {"logspout.exclude": "true"}, True),
    ],
)
def test_a_label_leaves_a_container_out(
    variables: dict[str, str],
    labels: dict[str, str],
    left_out: bool,  # noqa: FBT001
) -> None:
    """EXCLUDE_LABEL(S), the case of the value apart; what ours leaves out besides."""
    settings, _ = understood(SYSLOG | variables)
    facts = ContainerFacts(id="a", name="web", labels=labels)
    assert selected(facts, settings.include, settings.exclude) is not left_out


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"ROUTE_URIS": "syslog://a:1?append_tag=.db,syslog://b:1"},
            "append_tag differs from URI to URI",
        ),
        (SYSLOG | {"SYSLOG_TAG": "{{.Container.Driver}}"}, "SYSLOG_TAG is not a template of"),
        (SYSLOG | {"PORT": "x"}, "PORT: ':x' is not an address"),
        (SYSLOG | {"EXCLUDE_LABEL": "a,b"}, "EXCLUDE_LABEL: a label's name"),
        ({"ROUTE_URIS": "multiline+syslog://a:1", "MULTILINE_MATCH": "nonlast"}, "MULTILINE_MATCH=nonlast"),
        ({"ROUTE_URIS": "multiline+syslog://a:1", "MULTILINE_MATCH": "x"}, "MULTILINE_MATCH: 'x'"),
        ({"ROUTE_URIS": "multiline+syslog://a:1", "MULTILINE_FLUSH_AFTER": "1s"}, "MULTILINE_FLUSH_AFTER"),
        ({"ROUTE_URIS": "multiline+syslog://a:1", "MULTILINE_ENABLE_DEFAULT": "x"}, "not true or false"),
    ],
)
def test_a_fault_names_the_variable(environ: dict[str, str], problem: str) -> None:
    """And the start ends."""
    [said] = faults(environ)
    assert problem in said


def test_the_tag_of_the_routes_is_the_tag() -> None:
    """If they agree, and nothing else is set."""
    uris = "syslog://a:1?append_tag=.db,syslog+tcp://b:1?append_tag=.db,gelf://c:1"
    assert str(understood({"ROUTE_URIS": uris})[0].tag) == "{{.Name}}.db"


def test_what_differs_is_noted() -> None:
    """A person moving learns it from the first lines of the log."""
    settings, _ = understood(
        {"ROUTE_URIS": "syslog://a:1,logstash+tcp://b:1"}
        | {"SYSLOG_HOSTNAME": "x", "BACKLOG": "true", "TAIL": "5"}
    )
    assert [note.partition(" has no")[0] for note in settings.notes] == [
        "syslog://a:1: SYSLOG_HOSTNAME",
        "logstash+tcp://b:1: the container is in `container`, where Logspout's adapter has `docker`",
        "TAIL",
    ]


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({}, r"continue=^\s;timeout=500ms"),
        ({"MULTILINE_MATCH": "first", "MULTILINE_PATTERN": r"^\d+;"}, r"start=^\d+\x3b;timeout=500ms"),
        (
            {"MULTILINE_MATCH": "LAST", "MULTILINE_PATTERN": "end$", "MULTILINE_FLUSH_AFTER": "2000"},
            "end=end$;timeout=2s",
        ),
    ],
)
def test_lines_are_joined_as_it_joined_them(variables: dict[str, str], rule: str) -> None:
    """Those of every container, or with MULTILINE_ENABLE_DEFAULT=false of those that ask."""
    environ = {"ROUTE_URIS": "multiline+syslog://a:1,gelf://b:1", **variables}
    settings, sinks = understood(environ)
    assert list(sinks) == ["syslog", "gelf"]
    assert settings.multiline == MULTILINE.parse(rule)
    assert MULTILINE.parse(settings.compat.multiline) == MULTILINE.parse(rule)
    assert settings.notes == ("multiline+ before one URI: lines are joined for all sinks",)
    asked, _ = understood(environ | {"MULTILINE_ENABLE_DEFAULT": "false"})
    assert not asked.multiline
    assert MULTILINE.parse(asked.compat.multiline) == MULTILINE.parse(rule)


def test_a_container_says_that_it_is_to_be_ignored() -> None:
    """In its environment, in any case."""
    peers = Peers.parse("logspout")
    for value, labels in (("Ignore", {"enable": "false"}), ("no", {})):
        facts = ContainerFacts(id="a", name="web", env={"LOGSPOUT": value})
        assert peers.translate(facts).labels == labels


def test_a_container_says_whether_its_lines_are_joined() -> None:
    """As Logspout was told to join them."""
    peers = Peers(("logspout",), multiline="start=^x;timeout=500ms")
    for value, labels in (
        ("true", {"multiline": "start=^x;timeout=500ms"}),
        ("False", {"multiline": "off"}),
        ("maybe", {}),
    ):
        facts = ContainerFacts(id="a", name="web", env={"LOGSPOUT_MULTILINE": value})
        assert peers.translate(facts).labels == labels
        assert Peers.parse("logspout").translate(facts).labels == {}


def test_who_is_named_first_is_heard_first() -> None:
    """Of those that say the same; who is unknown is told."""
    labels = {
        "co.elastic.logs/exclude_lines": "filebeat",
        "com.datadoghq.ad.logs": '[{"log_processing_rules":[{"type":"exclude_at_match","pattern":"datadog"}]}]',
    }
    facts = ContainerFacts(id="a", name="web", labels=labels)
    assert Peers.parse("Filebeat, datadog").translate(facts).labels == {"drop": "(?:filebeat)"}
    assert Peers.parse("datadog,filebeat").translate(facts).labels == {"drop": "(?:datadog)"}
    assert str(Peers.parse("datadog,filebeat")) == "datadog,filebeat"
    with pytest.raises(ValueError, match="a list of names out of logspout, filebeat, datadog"):
        Peers.parse("fluentd")


def test_the_demo_sends_nothing_to_a_route() -> None:
    """It is for looking, with whatever environment."""
    settings, _ = load_demo(SYSLOG, ["console:"])
    assert list(settings.urls) == ["console"]
