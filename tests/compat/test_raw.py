"""Logspout's adapter `raw`, as the lines alone or as records."""

from __future__ import annotations

import pytest

from agent.compat.route import route
from agent.sinks import parse_sink


@pytest.mark.parametrize(
    ("uri", "layout", "url"),
    [
        ("raw://h:1", "", "udp://h:1?format=message"),
        ("udp://h:1", "", "udp://h:1?format=message"),
        ("raw+tcp://h:1", "{{ .Data }}\n", "tcp://h:1?format=message"),
        ("tcp://h:1", "{{.Data}}\\n", "tcp://h:1?format=message"),
        ("tls://h:1?verify=false", "", "tls://h:1?format=message&verify=false"),
        ("raw+tcp://h:1", '{ "c": "{{.Container.Name}}", "m": {{toJSON .Data}} }', "tcp://h:1"),
        ("tcp://h:1?format=json", "", "tcp://h:1?format=json"),
        ("logstash://h:1", "", "udp://h:1"),
    ],
)
def test_a_line_is_what_it_was(uri: str, layout: str, url: str) -> None:
    """Of JSON, a template's own names apart: that is noted."""
    found = route(uri, {"RAW_FORMAT": layout} if layout else {})
    assert found.url == url
    assert bool(found.notes) is ("toJSON" in layout or "logstash" in uri)
    parse_sink("x", url)
