"""What `redact` may be set to, and what is said of anything else."""

from __future__ import annotations

import pytest

from agent.pipeline.redact import REDACT, Redaction


@pytest.mark.parametrize(
    "text",
    [
        "email",
        "email;card",
        "all",
        r"card;pattern=pin=(\d+);with=hash",
        "JWT; ip ;with=DROP",
        "pattern=a;pattern=b",
    ],
)
def test_a_rule_reads_as_it_was_written(text: str) -> None:
    rule = REDACT.parse(text)
    assert rule
    assert REDACT.show(rule) == text
    assert REDACT.parse(text) == rule


@pytest.mark.parametrize("text", ["off", "OFF", "", " ; "])
def test_off_is_no_rule(text: str) -> None:
    assert not Redaction.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("emial", "one of bearer, aws, .*did you mean 'email'"),
        ("email;with=hide", "with=one of mask, hash, drop"),
        ("with=hash", "something to redact beside with="),
        ("email;with=mask;with=hash", "one with="),
        ("pattern=(", "a pattern in RE2's syntax"),
        ("pattern=x*", "does not match the empty text"),
        (r"pattern=\C", r"without \\C"),
        ("email;patern=x", "did you mean 'pattern='"),
        (";".join(["pattern=x"] * 33), "at most 32 patterns"),
        ("pattern=" + "x" * 5_000, "at most 4096 bytes"),
        ("x" * 1_000_000, "text of at most"),
    ],
)
def test_what_is_no_rule_is_told_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Redaction.parse(text)


def test_a_pattern_may_hold_a_semicolon() -> None:
    assert Redaction.parse(r"pattern=a\x3bb") != Redaction.parse("pattern=ab")
