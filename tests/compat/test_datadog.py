"""Datadog's rules in a label, as labels of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.compat import Peers
from agent.compat.datadog import LABEL, MAX_BYTES
from agent.compat.translation import Translation
from agent.engine.containers import ContainerFacts
from agent.labels import read_labels
from agent.pipeline.patterns import pattern as compiled

DATADOG = Peers.parse("datadog")


def translated(text: str) -> Translation:
    """What comes of the label."""
    return DATADOG.translate(ContainerFacts(id="a", name="web", labels={LABEL: text}))


def rules(*rules: dict[str, Any]) -> Translation:
    """What comes of these rules."""
    return translated(json.dumps([{"log_processing_rules": rules}]))


@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ({"type": "multi_line", "pattern": r"\d{4}-\d\d"}, {"multiline": r"start=^\d{4}-\d\d"}),
        ({"type": "exclude_at_match", "pattern": "User a"}, {"drop": "(?:User a)"}),
        ({"type": "include_at_match", "pattern": r"\w+@x.com"}, {"keep": r"(?:\w+@x.com)"}),
        ({"type": "mask_sequences", "pattern": r"(?:4\d{3})"}, {"redact": r"pattern=(?P<secret>(?:4\d{3}))"}),
    ],
)
def test_a_rule_is_a_label(rule: dict[str, str], labels: dict[str, str]) -> None:
    """One for each type."""
    found = rules({"name": "x", **rule})
    assert found.labels == labels
    assert found.problems == []
    assert read_labels({}, container_name="web", translated=found)[1] == []


def test_several_to_leave_out_are_alternatives_and_of_several_to_keep_the_first_counts() -> None:
    """Datadog's are all to match: with one of them more is sent than there, never less."""
    found = rules(
        *({"type": kind, "pattern": p} for kind in ("exclude_at_match", "include_at_match") for p in "ab")
    )
    assert found.labels == {"drop": "(?:a);(?:b)", "keep": "(?:a)"}
    assert "second include_at_match" in found.problems[0]


def test_all_that_a_mask_matches_is_masked() -> None:
    """A group in it, which our patterns would mask alone, leaves nothing to be seen."""
    found = rules(
        {"type": "mask_sequences", "pattern": r"key=(\w)\w+", "replace_placeholder": "${1}[masked]"}
    )
    assert "replace_placeholder" in found.problems[0]
    match = compiled(found.labels["redact"].removeprefix("pattern=")).search(b"my key=abc")
    assert match is not None
    assert match.group(1) == b"key=abc"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not a list of objects in JSON"),
        ("{}", "is not a list of objects in JSON"),
        ("[1]", "is not a list of objects in JSON"),
        ('[{"log_processing_rules": 1}]', "with log_processing_rules, a list of objects"),
        ('[{"log_processing_rules": [1]}]', "with log_processing_rules, a list of objects"),
        ("[" * 5000, "is not a list of objects in JSON"),
        ("[" + " " * MAX_BYTES + "]", f"of at most {MAX_BYTES} bytes"),
        ('[{"log_processing_rules": [{"type": "exclude_truncated"}]}]', "a rule of 'exclude_truncated'"),
        ('[{"log_processing_rules": [{"type": "x", "pattern": "y"}]}]', "the rule 'x'"),
        ('[{"log_processing_rules": [{"type": [1], "pattern": {"a": 1}}]}]', "a rule of [1]"),
        ('[{"service": "shop"}]', "the option `service` of the sink datadog"),
        ('[{"tags": ["a:b"]}]', "tags in label com.datadoghq.ad.logs has no counterpart"),
    ],
)
def test_what_cannot_be_translated_is_said(text: str, problem: str) -> None:
    """Whatever stands there: the container's logs go on."""
    found = translated(text)
    assert found.labels == {}
    assert any(problem in said for said in found.problems)


def test_what_is_for_files_is_none_of_ours() -> None:
    """A container may have more than its output collected."""
    found = translated('[{"type": "file", "path": "/x", "tags": ["a"]}, {"source": ""}]')
    assert (found.labels, found.problems) == ({}, [])
