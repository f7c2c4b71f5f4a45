"""The alert rules in conf/prometheus/: Prometheus's own tool understands them, and they do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from agent.metrics import Metrics
from tests.receivers.prometheus import RULES, promtool

CONF = RULES.parent
UNIT_TESTS = CONF / "dockferry.rules.test.yml"
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


def rules() -> list[dict[str, Any]]:
    """All of them."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    """As a person would check them."""
    said = promtool("check", "config", CONF / "prometheus.yml")
    assert "1 rule files found" in said
    assert f"{len(rules())} rules found" in said


def test_the_rules_do_what_their_own_tests_say() -> None:
    """Fire in time, with that text; and not for an agent that is well."""
    assert "SUCCESS" in promtool("test", "rules", UNIT_TESTS)


def test_every_rule_has_been_seen_to_fire() -> None:
    """By one of those tests."""
    tests = yaml.safe_load(UNIT_TESTS.read_text("utf-8"))["tests"]
    fired = {
        case["alertname"] for test in tests for case in test.get("alert_rule_test", ()) if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules()}


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    """A rule on another never fires."""
    known = {metric.name for metric in Metrics().declared}
    for rule in rules():
        named = set(re.findall(r"dockferry_\w+", rule["expr"]))
        assert named <= known
        assert named or 'up{job="dockferry"}' in rule["expr"]


def test_every_rule_says_how_urgent_it_is_and_what_it_means() -> None:
    """To whoever is woken."""
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
