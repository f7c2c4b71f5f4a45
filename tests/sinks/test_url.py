"""A sink's URL taken apart: several hosts. The rest is tests/sinks/test_registry.py."""

from __future__ import annotations

import pytest

from agent.errors import SettingsError
from agent.sinks import parse_sink, redact
from agent.sinks.url import parse_url


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("h", [("h", None)]),
        ("h:1,h:2", [("h", 1), ("h", 2)]),
        ("a,b:2,[::1],[::2]:4", [("a", None), ("b", 2), ("::1", None), ("::2", 4)]),
        ("me:p,w@a:1,b", [("a", 1), ("b", None)]),
    ],
)
def test_a_list_of_hosts(address: str, hosts: list[tuple[str, int | None]]) -> None:
    url = parse_url(f"kafka://{address}/logs?timeout=1s")
    assert [(url.host, url.port), *url.more] == hosts
    assert url.path == "/logs"


def test_the_sink_gets_them_all() -> None:
    target = parse_sink("it", "kafka://a:1,b:2,c/logs").target
    assert (target.host, target.port, target.more) == ("a", 1, (("b", 2), ("c", None)))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("kafka://a,/logs", "sink it: of a list of hosts, one is empty"),
        ("kafka://,a/logs", "sink it: of a list of hosts, one is empty"),
        ("kafka://a,b:x/logs", "sink it: the port is no number from 1 to 65535"),
        ("kafka://a,[::1/logs", "sink it: an IPv6 address is written [::1] or [::1]:port"),
        ("tcp://a:1,b:2", "sink it: tcp takes one host, not several"),
    ],
)
def test_a_list_that_is_none_is_told(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_sink("it", url)
    assert caught.value.problems[0].startswith(problem)


def test_a_list_of_hosts_is_shown_without_the_password() -> None:
    assert redact("kafka://me:pw@a:1,b:2/logs?password=pw") == "kafka://me:***@a:1,b:2/logs?password=***"
    assert "pw" not in redact("kafka://me:x,/pw@a,b/logs")
